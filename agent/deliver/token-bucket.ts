/** How long a bucket takes to fill: what leaves at once after a pause, short so that a small link stays smooth. */
const burstMs = 100

/** A limit of bytes a second. A taker may overdraw it once; the next waits until that is paid off. */
export class TokenBucket {
  readonly #bytesPerMs: number
  #tokens: number
  #atMs: number

  constructor(bytesPerSecond: number, nowMs: number) {
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#tokens = this.#bytesPerMs * burstMs
    this.#atMs = nowMs
  }

  /** How long until the next may be taken; 0 when now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#tokens > 0 ? 0 : Math.max(1, -this.#tokens / this.#bytesPerMs)
  }

  /** At most so many at once, so that the debt is short. */
  get pieceBytes(): number {
    return Math.max(256, Math.floor(this.#bytesPerMs * burstMs))
  }

  take(bytes: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens -= bytes
  }

  #fill(nowMs: number): void {
    const more = (nowMs - this.#atMs) * this.#bytesPerMs
    this.#tokens = Math.min(this.#bytesPerMs * burstMs, this.#tokens + more)
    this.#atMs = nowMs
  }
}
