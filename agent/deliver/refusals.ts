import { limits } from '../../protocol/contract.ts'
import type { BatchEntry } from '../queue/batch.ts'
import { placeText, type AsideEntry } from '../queue/index-entry.ts'
import type { RefusedEntry } from './read-answer.ts'

/** How often in a row the server must refuse a record before it is set aside. */
const believedRefusals = 3
/** Of so many records it is remembered; a batch has no more. */
const maxCounted = limits.maxBatchRecords

/** What was whole when it left may have been damaged on the way: only a refusal that repeats itself is believed. */
export class Refusals {
  readonly #counts = new Map<string, number>()

  /** Those that are to be set aside now. */
  believe(refused: readonly RefusedEntry[]): readonly AsideEntry[] {
    return refused.flatMap(({ entry, sense, why }) => {
      if (sense.course !== 'aside') return []
      const place = placeText(entry)
      return this.#count(place) < believedRefusals ? [] : [{ ...entry, why }]
    })
  }

  #count(place: string): number {
    const times = (this.#counts.get(place) ?? 0) + 1
    this.#counts.delete(place)
    if (times < believedRefusals) this.#counts.set(place, times)
    const [oldest] = this.#counts.keys()
    if (oldest !== undefined && this.#counts.size > maxCounted) this.#counts.delete(oldest)
    return times
  }

  /** The server took them. */
  forget(taken: readonly BatchEntry[]): void {
    if (this.#counts.size === 0) return
    for (const entry of taken) this.#counts.delete(placeText(entry))
  }
}
