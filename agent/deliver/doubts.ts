import { limits } from '../../protocol/contract.ts'
import type { Batch } from '../queue/batch.ts'

/** After so many answers that are none, as of a server that does not know the question, these are sent without asking. */
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

  add(batch: Batch): void {
    this.#batches.push(batch)
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

  /**
   * An answer came that is none: a few times, and these are to be sent again as they are. Nobody signs a 404, and a login page
   * says it as well as a server that does not know the question: so it says nothing of the next question.
   */
  unanswered(batches: readonly Batch[]): void {
    this.#failures++
    if (this.#failures >= believedFailures) this.settle(batches)
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
