import type { Batch } from '../queue/batch.ts'
import { placeText } from '../queue/index-entry.ts'

/** So often a record alone must bring an answer that brings down its request, while others get through. */
const believedTimes = 3
/** Held back at a time, in memory. */
const maxHeld = 32
const maxHeldBytes = 32 << 20

interface Count {
  times: number
  /** Receipts that there had been when it failed last. */
  receipts: number
}

/**
 * Records that, sent alone, brought an answer that nobody signed and that may be their own fault (400, 413, 422). They are
 * passed over, so that they block nothing. Only where others get receipts meanwhile is it theirs and not the server's.
 */
export class Suspects {
  /** In the order in which they are tried again. */
  readonly #held: Batch[] = []
  /** By place: what is known of a record outlasts its being held. */
  readonly #counts = new Map<string, Count>()
  /** Receipts that there had been when any failed last. */
  #failedAt = -1

  /** A batch of one record failed; `receipts` have come so far. What becomes of it? */
  failed(batch: Batch, receipts: number): 'aside' | 'passedOver' | 'full' {
    this.#drop(batch)
    this.#failedAt = receipts
    if (this.#count(batch, receipts) >= believedTimes) {
      this.#counts.delete(placeOf(batch))
      return 'aside'
    }
    const bytes = this.#held.reduce((sum, held) => sum + held.bytes.length, batch.bytes.length)
    if (this.#held.length === maxHeld || bytes > maxHeldBytes) return 'full'
    this.#held.push(batch)
    return 'passedOver'
  }

  /** A time counts where a receipt came since the one before. */
  #count(batch: Batch, receipts: number): number {
    const known = this.#counts.get(placeOf(batch))
    const times = (known?.times ?? 0) + (receipts > (known?.receipts ?? -1) ? 1 : 0)
    this.#counts.set(placeOf(batch), { times, receipts })
    return times
  }

  holds(batch: Batch): boolean {
    return this.#held.includes(batch)
  }

  /** One to be tried again: one for each receipt that others get, or, where nothing else waits, each in turn. */
  next(receipts: number, isAlone: boolean): Batch | undefined {
    return isAlone || receipts > this.#failedAt ? this.#held[0] : undefined
  }

  /** It got through. */
  cleared(batch: Batch): void {
    this.#drop(batch)
    for (const entry of batch.entries) this.#counts.delete(placeText(entry))
  }

  #drop(batch: Batch): void {
    const index = this.#held.indexOf(batch)
    if (index >= 0) this.#held.splice(index, 1)
  }

  /** All of them, which are then held no more. */
  release(): readonly Batch[] {
    return this.#held.splice(0)
  }
}

const placeOf = ({ entries: [entry] }: Batch): string => (entry ? placeText(entry) : '')
