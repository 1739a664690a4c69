/**
 * What was delivered in the last while: as little of it as tells a rate. A link that stands still now and then did so
 * during some rounds, which are longer, but hardly during each of these.
 */
export class LastWhile {
  /** Oldest first. */
  #receipts: readonly Receipted[] = []

  /** Nothing was under way before this. */
  begin(deliveredBytes: number, nowMs: number): void {
    this.#receipts = [{ deliveredBytes, atMs: nowMs, leftMs: nowMs }]
  }

  /** Bytes a millisecond over the least time of at least so many; 0 where there was not as much time yet. */
  note(receipted: Receipted, leastMs: number): number {
    const { deliveredBytes, atMs, leftMs } = receipted
    const from = this.#receipts.findLastIndex((before) => atMs - before.atMs >= leastMs)
    this.#receipts = [...this.#receipts.slice(Math.max(0, from)), receipted].slice(-maxReceipts)
    const [first] = this.#receipts
    if (from < 0 || !first) return 0
    // Receipts that were held back come together: what they are for did not leave in no time.
    const sinceMs = Math.max(atMs - first.atMs, leftMs - first.leftMs)
    return (deliveredBytes - first.deliveredBytes) / sinceMs
  }
}

interface Receipted {
  /** Of all uploads that ever were. */
  readonly deliveredBytes: number
  readonly atMs: number
  /** When its last byte left. */
  readonly leftMs: number
}

const maxReceipts = 64
