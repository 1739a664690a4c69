import type { Batch } from '../queue/batch.ts'

/** So often a record alone must bring an answer that brings down its request, while others get through. */
const believedTimes = 3
/** Held back at a time. */
const maxSuspects = 16

interface Suspect {
  readonly batch: Batch
  readonly why: string
  times: number
  /** Receipts that there had been when it failed last. */
  receipts: number
}

/**
 * Records that, sent alone, brought an answer that nobody signed and that may be their own fault (400, 413, 422). They are
 * passed over, so that they block nothing. Only where others get receipts meanwhile is it theirs and not the server's.
 */
export class Suspects {
  readonly #suspects: Suspect[] = []

  /** A batch of one record failed; `receipts` have come so far. What becomes of it? */
  failed(batch: Batch, why: string, receipts: number): 'aside' | 'passedOver' | 'kept' {
    const known = this.#suspects.find((suspect) => suspect.batch === batch)
    if (known) return this.#again(known, receipts)
    const newest = this.#suspects.at(-1)
    const isServers = newest !== undefined && newest.receipts === receipts
    if (isServers || this.#suspects.length === maxSuspects) return 'kept'
    this.#suspects.push({ batch, why, times: 1, receipts })
    return 'passedOver'
  }

  #again(suspect: Suspect, receipts: number): 'aside' | 'passedOver' {
    if (receipts > suspect.receipts) suspect.times++
    suspect.receipts = receipts
    if (suspect.times < believedTimes) return 'passedOver'
    this.cleared(suspect.batch)
    return 'aside'
  }

  holds(batch: Batch): boolean {
    return this.#suspects.some((suspect) => suspect.batch === batch)
  }

  /** One to be tried again: others got receipts since, or, where nothing else waits, any. */
  next(receipts: number, isAlone: boolean): Batch | undefined {
    return this.#suspects.find((suspect) => isAlone || suspect.receipts < receipts)?.batch
  }

  /** It got through, or is set aside. */
  cleared(batch: Batch): void {
    const index = this.#suspects.findIndex((suspect) => suspect.batch === batch)
    if (index >= 0) this.#suspects.splice(index, 1)
  }

  /** All of them, which are then held no more. */
  release(): readonly Batch[] {
    return this.#suspects.splice(0).map(({ batch }) => batch)
  }
}
