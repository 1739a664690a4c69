import type { Clock } from '../clock.ts'

const untilWoken = Infinity

/** Somebody who waits for a buffer. */
interface Waiter {
  given: Uint8Array | undefined
  readonly wake: () => void
}

/**
 * The memory in which chunks are collected: a fixed number of buffers that files take turns with, so that many files
 * with a backlog need no more of it than one.
 */
export class ChunkBuffers {
  readonly #size: number
  readonly #clock: Clock
  readonly #free: Uint8Array[] = []
  /** Who came first, first: only that one is woken. */
  readonly #waiting = new Set<Waiter>()
  #unmade: number

  constructor(size: number, count: number, clock: Clock) {
    this.#size = size
    this.#unmade = count
    this.#clock = clock
  }

  /** A buffer of `size` bytes once one is free; undefined when the signal fires first. */
  async take(signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (signal.aborted) return undefined
    return this.#free.pop() ?? this.#make() ?? this.#wait(signal)
  }

  async #wait(signal: AbortSignal): Promise<Uint8Array | undefined> {
    const waking = new AbortController()
    const wake = (): void => waking.abort('woken')
    const waiter: Waiter = { given: undefined, wake }
    this.#waiting.add(waiter)
    signal.addEventListener('abort', wake)
    await this.#clock.sleep(untilWoken, waking.signal)
    signal.removeEventListener('abort', wake)
    this.#waiting.delete(waiter)
    return waiter.given
  }

  giveBack(buffer: Uint8Array): void {
    const [first] = this.#waiting
    if (!first) return void this.#free.push(buffer)
    this.#waiting.delete(first)
    first.given = buffer
    first.wake()
  }

  #make(): Uint8Array | undefined {
    if (this.#unmade === 0) return undefined
    this.#unmade--
    // Not a Buffer: a slice of it has to be a copy. What nobody wrote to takes no memory.
    return new Uint8Array(this.#size)
  }
}
