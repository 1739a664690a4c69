import { Doorbell } from '../doorbell.ts'
import type { Clock } from '../clock.ts'

const untilWoken = Infinity

/**
 * The memory in which chunks are collected: a fixed number of buffers that files take turns with, so that many files
 * with a backlog need no more of it than one.
 */
export class ChunkBuffers {
  readonly #size: number
  readonly #clock: Clock
  readonly #freed = new Doorbell()
  readonly #free: Uint8Array[] = []
  #unmade: number

  constructor(size: number, count: number, clock: Clock) {
    this.#size = size
    this.#unmade = count
    this.#clock = clock
  }

  /** A buffer of `size` bytes once one is free; undefined when the signal fires first. */
  async take(signal: AbortSignal): Promise<Uint8Array | undefined> {
    while (!signal.aborted) {
      const seen = this.#freed.rings
      const buffer = this.#free.pop() ?? this.#make()
      if (buffer) return buffer
      await this.#freed.waitBeyond(seen, untilWoken, this.#clock, signal)
    }
    return undefined
  }

  giveBack(buffer: Uint8Array): void {
    this.#free.push(buffer)
    this.#freed.ring()
  }

  #make(): Uint8Array | undefined {
    if (this.#unmade === 0) return undefined
    this.#unmade--
    // Not a Buffer: a slice of it has to be a copy.
    return new Uint8Array(this.#size)
  }
}
