/** Chance that can be repeated: mulberry32. */
export class Seeded {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit)
  }

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.below(list.length)] ?? list[0]
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256))
  }

  /** Lines such as a log has, `count` bytes of them; the last need not end. */
  text(count: number): Uint8Array {
    let text = ''
    while (text.length < count) {
      text += `${this.below(1e6)} ${this.pick(['INFO', 'WARN', 'DEBUG'])} gps fix ${this.below(1e9)} alt=${this.below(500)}\n`
    }
    return Buffer.from(text).subarray(0, count)
  }
}

/** LOGBOX_SEED where it is set, else another one every time. Print it where a test fails. */
export function chooseSeed(): number {
  return Number(process.env['LOGBOX_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
}

/** Runs `test` with seeded chance; a failure names the seed. */
export async function withSeed<T>(seed: number, test: (chance: Seeded) => Promise<T>): Promise<T> {
  try {
    return await test(new Seeded(seed))
  } catch (cause) {
    throw new Error(`with LOGBOX_SEED=${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
}
