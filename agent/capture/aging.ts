import type { Clock } from '../clock.ts'
import { Doorbell } from '../doorbell.ts'
import type { Generation } from './generation.ts'

/** The files of which bytes were read and not cut: each has a turn when they are old enough to be cut all the same. */
export class Aging {
  readonly #clock: Clock
  readonly #mostBytes: number
  readonly #want: (generation: Generation) => void
  /** The one that is due first, first: the age is the same for all. */
  readonly #uncut = new Map<Generation, number>()
  readonly #came = new Doorbell()
  #bytes = 0
  /** Waits for no time, only for the ring. */
  #isIdle = false

  /** `mostBytes` may be uncut in all; beyond, the oldest are cut before their time. */
  constructor(mostBytes: number, clock: Clock, want: (generation: Generation) => void) {
    this.#mostBytes = mostBytes
    this.#clock = clock
    this.#want = want
  }

  /** Call it after each turn of the file. */
  note(generation: Generation, wasCut: boolean): void {
    const bytes = generation.chunker?.uncutBytes ?? 0
    this.#bytes += bytes - (this.#uncut.get(generation) ?? 0)
    if (bytes === 0 || wasCut) this.#uncut.delete(generation)
    if (bytes > 0) this.#uncut.set(generation, bytes)
    else generation.dropChunker()
    const isAwaited = this.#isIdle && this.#uncut.size > 0
    if (isAwaited || this.#bytes > this.#mostBytes) this.#came.ring()
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const seen = this.#came.rings
      const waitMs = this.#letDueOnesCut()
      this.#isIdle = waitMs === Infinity
      await this.#came.waitBeyond(seen, waitMs, this.#clock, signal)
    }
  }

  /** How long until the next one is due. */
  #letDueOnesCut(): number {
    const nowMs = this.#clock.monotonicMs()
    let excess = this.#bytes - this.#mostBytes
    for (const [generation, bytes] of this.#uncut) {
      const dueInMs = generation.chunker?.dueInMs(nowMs) ?? 0
      // Its turn, which goes on, has cut it, and says at its end what is left. It is not to hide those behind it.
      if (dueInMs === Infinity) continue
      if (dueInMs > 0 && excess <= 0) return dueInMs
      if (dueInMs > 0) generation.flushTo = Math.max(generation.flushTo, generation.readTo)
      excess -= bytes
      this.#want(generation)
      this.#forget(generation, bytes)
    }
    return Infinity
  }

  /** Its next turn notes it again. */
  #forget(generation: Generation, bytes: number): void {
    this.#uncut.delete(generation)
    this.#bytes -= bytes
  }
}
