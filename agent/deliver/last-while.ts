/**
 * What was delivered in the last while: as little of it as tells a rate. A link that stands still now and then did so
 * during some rounds, which are longer, but hardly during each of these.
 */
export class LastWhile {
  /** Oldest first. */
  #receipts: readonly Receipted[] = []

  /** Nothing was under way before this. */
  begin(receipted: Receipted): void {
    this.#receipts = [receipted]
  }

  /** Bytes a millisecond over the least time of at least so many; 0 where there was not as much time yet, or it tells none. */
  note(receipted: Receipted, leastMs: number): number {
    const from = this.#receipts.findLastIndex((before) => receipted.atMs - before.atMs >= leastMs)
    this.#receipts = [...this.#receipts.slice(Math.max(0, from)), receipted].slice(-maxReceipts)
    const [first] = this.#receipts
    return from < 0 || !first ? 0 : rateBetween(first, receipted)
  }
}

export interface Receipted {
  readonly atMs: number
  /** Of all uploads that ever were. */
  readonly deliveredBytes: number
  /** The same, of what left so far. */
  readonly leftBytes: number
  /** How many had left with its last byte, and when. */
  readonly leftAt: number
  readonly leftMs: number
}

function rateBetween(first: Receipted, last: Receipted): number {
  const [sinceMs, sentMs] = [last.atMs - first.atMs, last.leftMs - first.leftMs]
  const bytes = last.deliveredBytes - first.deliveredBytes
  // What left at once, over several connections, passes the link side by side, and then its receipts come together.
  const most = sentMs < sinceMs / 2 ? 0 : bytes / Math.max(sinceMs, sentMs)
  // It may have left for long because the link stood still. What left after the first receipt has passed since then.
  return Math.max(most, Math.min(bytes, last.leftAt - first.leftBytes) / sinceMs)
}

const maxReceipts = 64
