import { limits } from '../../protocol/contract.ts'
import type { BatchEntry } from '../queue/batch.ts'
import { placeText, type AsideEntry } from '../queue/index-entry.ts'
import type { RefusedEntry } from './read-answer.ts'

/** How often in a row the server must refuse a record before it is set aside. */
const believedRefusals = 3
/** Of so many records it is remembered; a batch has no more. */
const maxCounted = limits.maxBatchRecords

/**
 * What was whole when it left may have been damaged on the way: only a refusal that repeats itself is believed. A receipt that
 * comes again is the same refusal: whoever saw it can play it any number of times.
 */
export class Refusals {
  /** By place: the receipts that refused it. */
  readonly #receipts = new Map<string, readonly string[]>()

  /** Those that are to be set aside now. */
  believe(refused: readonly RefusedEntry[], receiptId: string): readonly AsideEntry[] {
    return refused.flatMap(({ entry, sense, why }) => {
      if (sense.course !== 'aside') return []
      return this.#count(placeText(entry), receiptId) < believedRefusals ? [] : [{ ...entry, why }]
    })
  }

  #count(place: string, receiptId: string): number {
    const before = this.#receipts.get(place) ?? []
    const receipts = before.includes(receiptId) ? before : [...before, receiptId]
    this.#receipts.delete(place)
    if (receipts.length < believedRefusals) this.#receipts.set(place, receipts)
    const [oldest] = this.#receipts.keys()
    if (oldest !== undefined && this.#receipts.size > maxCounted) this.#receipts.delete(oldest)
    return receipts.length
  }

  /** The server took them. */
  forget(taken: readonly BatchEntry[]): void {
    if (this.#receipts.size === 0) return
    for (const entry of taken) this.#receipts.delete(placeText(entry))
  }
}
