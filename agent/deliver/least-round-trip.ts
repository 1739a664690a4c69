/** The least round trip of the last minute or so, in periods, so that a way that became longer is believed after a while. */
export class LeastRoundTrip {
  /** Newest last. */
  readonly #periods: { readonly sinceMs: number; ms: number }[] = []
  /** Kept, because it is asked for a hundred times between two notes. */
  #ms: number | undefined

  /** undefined before the first. */
  get ms(): number | undefined {
    return this.#ms
  }

  note(ms: number, nowMs: number): void {
    const newest = this.#periods.at(-1)
    if (newest && nowMs - newest.sinceMs < periodMs) newest.ms = Math.min(newest.ms, ms)
    else this.#periods.push({ sinceMs: nowMs, ms })
    if (this.#periods.length > periods) this.#periods.shift()
    this.#ms = Math.min(...this.#periods.map((period) => period.ms))
  }
}

const periodMs = 30_000
const periods = 3
