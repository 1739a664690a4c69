import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Files } from '../world.ts'
import { kernelQueueBytes } from './kernel-queue.ts'

/** How often within `stallMs` it is looked whether something moved. */
const looks = 4
/** An answer that comes more slowly than 1 KiB/s, once its head is there, is nobody's who wants to answer. */
const slowestBytesPerMs = 1.024
/** However long an upload took, its answer gets no longer than this beyond `stallMs`. */
const longestPatienceMs = 10 * 60_000

/**
 * The deadline of a request: on progress, never on the whole of it. A request that moves, in Node's buffers or in the
 * kernel's, is not late. Once all of it has left this drone its answer is given as much more time as it took to leave, or
 * as the sender thinks that it takes: what stands between here and the server (a proxy) may still be passing it on. Only an
 * answer has to be whole in time.
 */
export class StallWatch {
  readonly #stallMs: number
  readonly #clock: Clock
  readonly #files: Pick<Files, 'readWhole'>
  #movedMs: number
  #firstMs: number | undefined
  #kernelBytes = Infinity
  #isHeld = false
  #isWhole = false
  #onItsWayMs = 0
  #answer: { readonly beganMs: number; readonly bytes: number } | undefined
  socket: Socket | undefined

  constructor(stallMs: number, clock: Clock, files: Pick<Files, 'readWhole'>) {
    this.#stallMs = stallMs
    this.#clock = clock
    this.#files = files
    this.#movedMs = clock.monotonicMs()
  }

  /** A byte moved, in either direction. */
  moved(): void {
    this.#movedMs = this.#clock.monotonicMs()
    this.#firstMs ??= this.#movedMs
  }

  /** So many bytes of the answer's body are there, 0 with its head. They have to come at some pace: each alone is no progress. */
  answered(bytes: number): void {
    const beganMs = this.#answer?.beganMs ?? this.#clock.monotonicMs()
    this.#answer = { beganMs, bytes }
    this.moved()
  }

  /** All of the body has left; it may be on its way for so long. */
  whole(onItsWayMs: number): void {
    this.#isWhole = true
    this.#onItsWayMs = onItsWayMs
    this.moved()
  }

  /** While its sender itself holds the body back, the request cannot be late. */
  held(isHeld: boolean): void {
    this.#isHeld = isHeld
    this.moved()
  }

  /** Resolves true when nothing has moved for too long, false when the signal fires first. */
  async stalled(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      await this.#clock.sleep(this.#stallMs / looks, signal)
      if (signal.aborted) return false
      if (this.#isHeld || (await this.#kernelMoved())) this.moved()
      if (!signal.aborted && (this.#trickles || this.#standsStill)) return true
    }
    return false
  }

  get #standsStill(): boolean {
    return this.#clock.monotonicMs() - this.#movedMs >= this.#patienceMs
  }

  get #trickles(): boolean {
    if (!this.#answer) return false
    const { beganMs, bytes } = this.#answer
    return this.#clock.monotonicMs() - beganMs >= this.#stallMs + bytes / slowestBytesPerMs
  }

  get #patienceMs(): number {
    if (!this.#isWhole || this.#firstMs === undefined) return this.#stallMs
    const tookMs = Math.max(this.#movedMs - this.#firstMs, this.#onItsWayMs)
    return this.#stallMs + Math.min(tookMs, longestPatienceMs)
  }

  async #kernelMoved(): Promise<boolean> {
    const held = this.socket && (await kernelQueueBytes(this.socket, this.#files))
    if (held === undefined) return false
    const before = this.#kernelBytes
    this.#kernelBytes = held
    return held < before && before !== Infinity
  }
}
