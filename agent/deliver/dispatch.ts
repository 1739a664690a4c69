import type { Batch } from '../queue/batch.ts'
import { lanes, type Lane } from '../queue/lane.ts'
import type { RequestParts, Requests } from './requests.ts'
import type { Terms } from './terms.ts'

/** With a batch each. The connections are kept, so there are never many. */
const maxRequests = 6
/** Before anything is known of the link, or again: the others leave while the receipt of the first is on its way. */
const maxUnknown = 3
const leastLeadMs = 100
/** Besides, for what is urgent. */
const maxUrgent = 2

export type Next = { readonly is: 'question' } | { readonly is: 'batch'; readonly batch: Batch }

/**
 * Decides what is sent next, and when: what is in doubt is asked about first; of the records, those of the highest lane
 * first. Another batch is begun when those before it have nearly left, so that the link is never idle for want of one.
 */
export class Dispatch {
  readonly #parts: RequestParts
  readonly #requests: Requests
  /** When a lane had nothing to give, by the rings of the queue. */
  readonly #emptyAt = new Map<Lane, number>()
  readonly #terms: Pick<Terms, 'maxBatchRecords'>

  constructor(parts: RequestParts, requests: Requests, terms: Pick<Terms, 'maxBatchRecords'>) {
    this.#parts = parts
    this.#requests = requests
    this.#terms = terms
  }

  /**
   * While it is not known whether there is a link, one request tries it out: the question where there is one, so that what
   * is held in doubt does not grow. Others follow when it is seen to leave.
   */
  async next(isTrial: boolean): Promise<Next | undefined> {
    const { doubts, count } = this.#requests
    const isUnsure = isTrial && !this.#mayAccompany
    if (this.#requests.isAsking && (isUnsure || doubts.size > maxRequests)) return undefined
    if (doubts.size > 0 && !this.#requests.isAsking) return { is: 'question' }
    if (isTrial && count > 0 && !this.#mayFollow) return undefined
    const batch = this.#suspect(false) ?? (await this.#waiting()) ?? this.#suspect(count === 0)
    return batch && { is: 'batch', batch }
  }

  /** After an answer that was no receipt the trial is over with a receipt only. */
  get #mayFollow(): boolean {
    const { count, doubts, wasCut, hasLeft } = this.#requests
    return wasCut && hasLeft && count < maxUnknown && doubts.size <= maxRequests
  }

  get #mayAccompany(): boolean {
    const { count, wasCut, isQuestionOut } = this.#requests
    return wasCut && isQuestionOut && count < maxUnknown
  }

  #suspect(isAlone: boolean): Batch | undefined {
    const suspect = this.#requests.suspects.next(this.#requests.receipts, isAlone)
    return suspect && !this.#requests.carries(suspect) ? suspect : undefined
  }

  async #waiting(): Promise<Batch | undefined> {
    const open = lanes.filter((lane) => this.#admits(lane))
    for (const lane of open) {
      const batch = await this.#take(lane)
      if (batch) return batch
    }
    if (open.length === lanes.length) this.#requests.starve()
    return undefined
  }

  async #take(lane: Lane): Promise<Batch | undefined> {
    const { queue, size, model } = this.#parts
    const { rings } = queue.changed
    if (this.#emptyAt.get(lane) === rings) return undefined
    const maxRecords = this.#terms.maxBatchRecords
    const batch = await queue.take(size.next(model, this.#requests.count), maxRecords, lane)
    if (!batch) this.#emptyAt.set(lane, rings)
    return batch
  }

  /** What of the requests before it has not left when the next is begun: its connection may have to be made. */
  get #leadBytes(): number {
    const { rate, pipeBytes } = this.#parts.model
    return rate === undefined ? Infinity : Math.max(pipeBytes, rate * leastLeadMs)
  }

  #admits(lane: Lane): boolean {
    const { model, size, pacer } = this.#parts
    const { count, awaitedBytes } = this.#requests
    const isUrgent = lane === 'high'
    if (count >= maxRequests + (isUrgent ? maxUrgent : 0)) return false
    const bytes = size.next(model, count)
    if (count > 0 && pacer.restBytes(lane) > Math.min(bytes, this.#leadBytes)) return false
    if (isUrgent || count === 0) return true
    // Until the first receipt nothing is known of the link; after it, what waits for receipts fills it.
    return model.rate === undefined ? count < maxUnknown : awaitedBytes <= 2 * model.pipeBytes + bytes
  }
}
