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

  /** Bytes a millisecond over the least time of at least so many; 0 where there was not as much time yet. */
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
  /** How many had left with its last byte. */
  readonly leftAt: number
}

/**
 * Only what left after the first receipt has passed since then: what had left before, as over several connections at once
 * or of a large body that lines passed, may have passed long ago.
 */
function rateBetween(first: Receipted, last: Receipted): number {
  const bytes = Math.min(last.deliveredBytes - first.deliveredBytes, last.leftAt - first.leftBytes)
  return Math.max(0, bytes) / (last.atMs - first.atMs)
}

const maxReceipts = 64
