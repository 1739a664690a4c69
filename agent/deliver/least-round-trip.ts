/** The least round trip of the last minute or so, in periods, so that a way that became longer is believed after a while. */
export class LeastRoundTrip {
  /** Newest last. */
  readonly #periods: { readonly sinceMs: number; ms: number }[] = []

  /** undefined before the first. */
  get ms(): number | undefined {
    return this.#periods.length === 0 ? undefined : Math.min(...this.#periods.map(({ ms }) => ms))
  }

  note(ms: number, nowMs: number): void {
    const newest = this.#periods.at(-1)
    if (newest && nowMs - newest.sinceMs < periodMs) {
      newest.ms = Math.min(newest.ms, ms)
      return
    }
    this.#periods.push({ sinceMs: nowMs, ms })
    if (this.#periods.length > periods) this.#periods.shift()
  }
}

const periodMs = 30_000
const periods = 3
