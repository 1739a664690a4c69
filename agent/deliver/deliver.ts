import pRetry from 'p-retry'
import { limits } from '../../protocol/contract.ts'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import type { LinkReport } from '../control/report.ts'
import { Doorbell } from '../doorbell.ts'
import { placeText, type AsideEntry } from '../queue/index-entry.ts'
import type { Batch } from '../queue/batch.ts'
import type { Queue } from '../queue/queue.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { pauseMs, type RetryPolicy } from './backoff.ts'
import type { Link } from './link.ts'
import { readAnswer, type Meaning } from './read-answer.ts'

export interface DeliveryOptions {
  readonly requestMaxBytes: number
  readonly retry: RetryPolicy
  readonly pinned: readonly PublicKey[]
}

/** An attempt after which nothing is known to be stored. */
class Undelivered extends Error {
  readonly retryAfterMs: number

  constructor(why: string, retryAfterMs = 0) {
    super(why)
    this.retryAfterMs = retryAfterMs
  }
}

const longestRetryAfterMs = 10 * 60_000
/** After so many requests in a row that went well, the next may be twice as large again. */
const growAfter = 16
/** How often in a row the server must refuse a record before it is set aside. */
const believedRefusals = 3

type DeliveryState =
  | { readonly is: 'idle' }
  | { readonly is: 'sending'; readonly records: number; readonly bytes: number }
  | { readonly is: 'waiting'; readonly why: string; readonly attempts: number; readonly untilMs: number }

/** Carries records from the queue to the server until each has its receipt, for ever. */
export class Delivery {
  readonly #queue: Queue
  readonly #link: Link
  readonly #world: World
  readonly #options: DeliveryOptions
  readonly #hurry = new Doorbell()
  #state: DeliveryState = { is: 'idle' }
  #maxBytes: number
  /** Since a request was too large. */
  #successes = 0
  /** How often the server has refused records of the last batch, by place. */
  #refusals: ReadonlyMap<string, number> = new Map()
  /** Since the last success. */
  #failures = 0

  constructor(queue: Queue, link: Link, world: World, options: DeliveryOptions) {
    this.#queue = queue
    this.#link = link
    this.#world = world
    this.#options = options
    this.#maxBytes = options.requestMaxBytes
  }

  get report(): LinkReport {
    const state = this.#state
    if (state.is !== 'waiting') return state
    const retryInMs = Math.max(0, Math.round(state.untilMs - this.#world.clock.monotonicMs()))
    return { is: 'waiting', why: state.why, attempts: state.attempts, retryInMs }
  }

  /** Ends a pause between attempts: there may be a link now. */
  hurry(): void {
    this.#hurry.ring()
  }

  /** Delivers until the signal fires. A request that is under way then is given up; its records stay queued. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const seen = this.#queue.changed.rings
      if (await this.#deliverOldest(signal)) continue
      this.#state = { is: 'idle' }
      await this.#queue.changed.waitBeyond(seen, Infinity, this.#world.clock, signal)
    }
  }

  /** False when nothing waits. */
  async #deliverOldest(signal: AbortSignal): Promise<boolean> {
    try {
      return await pRetry(() => this.#attempt(signal), {
        retries: Infinity,
        minTimeout: 0,
        signal,
        onFailedAttempt: ({ error }) => this.#pause(error, signal),
      })
    } catch (cause) {
      if (signal.aborted) return false
      throw cause
    }
  }

  async #attempt(signal: AbortSignal): Promise<boolean> {
    const batch = await this.#queue.take(this.#maxBytes, limits.maxBatchRecords)
    if (!batch) return false
    try {
      await this.#send(batch, signal)
    } finally {
      this.#queue.giveBack(batch)
    }
    return true
  }

  async #send(batch: Batch, signal: AbortSignal): Promise<void> {
    const { entries, bytes } = batch
    this.#state = { is: 'sending', records: entries.length, bytes: bytes.length }
    this.#world.journal.requestSent(entries.length, bytes.length)
    const answer = await this.#link.send(bytes, signal)
    const { device } = this.#queue.head
    await this.#settle(readAnswer(answer, entries, this.#options.pinned, device))
  }

  async #settle(meaning: Meaning): Promise<void> {
    if (meaning.is === 'nothing') throw new Undelivered(meaning.why, meaning.retryAfterMs)
    if (meaning.is === 'tooLarge') {
      this.#maxBytes = Math.max(1, Math.floor(this.#maxBytes / 2))
      this.#successes = 0
      throw new Undelivered('the server answered 413: the next request is smaller')
    }
    const { safe, withoutBody } = meaning
    this.#world.journal.receiptVerified(safe.length + withoutBody.length)
    for (const place of meaning.forked) this.#world.journal.recordForked(place)
    if (safe.length + withoutBody.length > 0) await this.#queue.forget(safe, withoutBody)
    await this.#settleRefused(meaning.refused)
    this.#growAgain()
    if (this.#failures > 0) this.#world.journal.deliveryRecovered(this.#failures)
    this.#failures = 0
  }

  #growAgain(): void {
    this.#successes++
    if (this.#successes % growAfter !== 0) return
    this.#maxBytes = Math.min(this.#options.requestMaxBytes, this.#maxBytes * 2)
  }

  /** What was whole when it left may have been damaged on the way: only a refusal that repeats itself is believed. */
  async #settleRefused(refused: readonly AsideEntry[]): Promise<void> {
    const count = (entry: AsideEntry): number => (this.#refusals.get(placeText(entry)) ?? 0) + 1
    const counted = refused.map((entry) => ({ entry, times: count(entry) }))
    this.#refusals = new Map(counted.map(({ entry, times }) => [placeText(entry), times]))
    const believed = counted.filter(({ times }) => times >= believedRefusals).map(({ entry }) => entry)
    if (believed.length > 0) await this.#queue.setAside(believed)
    const doubted = counted.find(({ times }) => times < believedRefusals)
    if (doubted) throw new Undelivered(doubted.entry.why)
  }

  async #pause(error: Error, signal: AbortSignal): Promise<void> {
    this.#failures++
    const seen = this.#hurry.rings
    // Nobody signed a Retry-After: it may make the drone wait for a while, and not for days.
    const least = error instanceof Undelivered ? Math.min(error.retryAfterMs, longestRetryAfterMs) : 0
    const ms = Math.max(least, pauseMs(this.#failures, this.#options.retry, this.#world.chance))
    const why = sayCause(error)
    this.#state = {
      is: 'waiting',
      why,
      attempts: this.#failures,
      untilMs: this.#world.clock.monotonicMs() + ms,
    }
    this.#world.journal.deliveryFailed(why, this.#failures, ms)
    this.#queue.changed.ring()
    await this.#hurry.waitBeyond(seen, ms, this.#world.clock, signal)
  }
}
