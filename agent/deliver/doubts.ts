import { limits } from '../../protocol/contract.ts'
import type { Batch } from '../queue/batch.ts'

/** After so many answers that are none, the server is taken for one that cannot be asked. */
const believedFailures = 3
/** After so many that were cut though they had left, too: more, for a bad link cuts some. */
const believedCuts = 6
/** Of those that were cut at once, as by a link that is down, for so many one counts. */
const suddenCuts = 10

/**
 * Batches that left at least in part and of which no receipt came: the server may have stored some of their records, and is
 * asked before any of them is sent again.
 */
export class Doubts {
  readonly #batches: Batch[] = []
  #failures = 0
  #cuts = 0
  /** Whether the server knows what it is asked; found out by asking, and kept until the agent starts again. */
  #canAsk = true

  /** Where nobody can be asked it is not held, and to be sent again as it is. */
  add(batch: Batch): void {
    if (this.#canAsk) this.#batches.push(batch)
  }

  holds(batch: Batch): boolean {
    return this.#batches.includes(batch)
  }

  get size(): number {
    return this.#batches.length
  }

  /** The oldest batches, as many as one question can be about. */
  question(): readonly Batch[] {
    let count = 0
    return this.#batches.filter(({ entries }) => (count += entries.length) <= limits.maxBatchRecords)
  }

  /** They are answered for. */
  settle(batches: readonly Batch[]): void {
    this.#failures = 0
    this.#cuts = 0
    for (const batch of batches) this.#batches.splice(this.#batches.indexOf(batch), 1)
  }

  /** An answer came that is none. True when the server cannot be asked at all: these are to be sent again as they are. */
  unanswered(batches: readonly Batch[], status: number): boolean {
    const isUnknown = unknownStatuses.has(status)
    this.#failures++
    if (isUnknown) this.#canAsk = false
    if (isUnknown || this.#failures >= believedFailures) this.settle(batches)
    return isUnknown
  }

  /**
   * The question left, at least in part, and no answer came. Somebody on the way may let batches through and this not: after
   * a few times they are to be sent again as they are. Sudden: within less than a round trip.
   */
  cut(batches: readonly Batch[], isSudden: boolean): void {
    this.#cuts += isSudden ? 1 / suddenCuts : 1
    if (this.#cuts >= believedCuts) this.settle(batches)
  }
}

/** Whoever answers so does not know what it is asked. */
const unknownStatuses: ReadonlySet<number> = new Set([404, 405, 415])
