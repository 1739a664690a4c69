import type { ChainHead } from '../../protocol/chain.ts'
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
/**
 * Where records come thick and fast, a batch that does not fill a request is begun no sooner than this after the last one:
 * each request has its costs, whatever it carries. What comes alone goes at once, and so does what is sent again.
 */
const gatherMs = 100

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
  /** When the last batch was begun. */
  #beganMs = -Infinity
  /** Where the queue's chain ended then. */
  #beganAt: ChainHead | undefined
  #isGathering = false

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
    this.#isGathering = false
    const isUnsure = isTrial && !this.#mayAccompany
    if (this.#requests.isAsking && (isUnsure || doubts.size > maxRequests)) return undefined
    if (doubts.size > 0 && !this.#requests.isAsking) return { is: 'question' }
    if (isTrial && count > 0 && !this.#mayFollow) return undefined
    const batch =
      (await this.#suspect(false)) ?? (await this.#waiting()) ?? (await this.#suspect(count === 0))
    return batch && { is: 'batch', batch }
  }

  /** How long until a batch is to be begun, even where nothing more comes. */
  get gatherMs(): number {
    return this.#isGathering ? this.#restOfGatheringMs : Infinity
  }

  get #restOfGatheringMs(): number {
    return Math.max(0, this.#beganMs + gatherMs - this.#parts.world.clock.monotonicMs())
  }

  /** Something has come, less than the next request takes, and it is not its time. */
  #gathers(maxBytes: number, maxRecords: number): boolean {
    const { head, ledger } = this.#parts.queue
    if (head === this.#beganAt || this.#restOfGatheringMs === 0) return false
    const [bytes, records] = [ledger.bytes - this.#requests.bytes, ledger.records - this.#requests.records]
    return records > 0 && records < maxRecords && bytes < maxBytes
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

  #suspect(isAlone: boolean): Promise<Batch | undefined> {
    const { size, model } = this.#parts
    const bytes = size.next(model, this.#requests.count)
    return this.#requests.suspects.next(bytes, this.#terms.maxBatchRecords, isAlone)
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
    const maxRecords = Math.min(this.#terms.maxBatchRecords, this.#requests.suspects.maxRecords)
    const bytes = size.next(model, this.#requests.count)
    // One lane that gathers makes those below it wait, too: its time may be up between two looks at the clock.
    this.#isGathering ||= lane !== 'high' && this.#gathers(bytes, maxRecords)
    if (this.#isGathering) return undefined
    const batch = await queue.take(bytes, maxRecords, lane)
    if (batch) this.#begin()
    else this.#emptyAt.set(lane, rings)
    return batch
  }

  #begin(): void {
    const { queue, world } = this.#parts
    this.#beganMs = world.clock.monotonicMs()
    this.#beganAt = queue.head
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
