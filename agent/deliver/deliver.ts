import pRetry from 'p-retry'
import type { PublicKey, Signer } from '../../protocol/ed25519-policy.ts'
import { base64url, sha256 } from '../../protocol/ids.ts'
import type { LinkReport } from '../control/report.ts'
import { Doorbell } from '../doorbell.ts'
import type { Queue } from '../queue/queue.ts'
import { sayCause } from '../say-cause.ts'
import { TaskGroup } from '../task-group.ts'
import type { World } from '../world.ts'
import { outagePauseMs, pauseMs, type RetryPolicy } from './backoff.ts'
import { Dispatch } from './dispatch.ts'
import { firstOf } from './first-of.ts'
import type { Gate } from './gate.ts'
import { LinkModel } from './link-model.ts'
import type { Link } from './link.ts'
import { Pacer } from './pacer.ts'
import { RequestSize } from './request-size.ts'
import { Requests } from './requests.ts'
import { Terms } from './terms.ts'
import { TokenBucket } from './token-bucket.ts'
import { Undelivered } from './undelivered.ts'

export interface DeliveryOptions {
  readonly requestMaxBytes: number
  readonly retry: RetryPolicy
  readonly pinned: readonly PublicKey[]
  /** Signs what the server is asked. */
  readonly signer: Signer
  /** Bytes a second of request bodies; no limit without it. */
  readonly rateLimit?: number | undefined
  /** Who may hold delivery back. */
  readonly gate?: Gate | undefined
  /** Called when the server has lost what it gave receipts for. */
  readonly onReceiptsLost?: (() => Promise<void>) | undefined
}

const longestRetryAfterMs = 10 * 60_000

interface Waiting {
  readonly why: string
  readonly course: Undelivered['course']
  readonly untilMs: number
}

/** Carries records from the queue to the server until each has its receipt, for ever. */
export class Delivery {
  readonly #queue: Queue
  readonly #world: World
  readonly #options: DeliveryOptions
  readonly #requests: Requests
  readonly #dispatch: Dispatch
  readonly #pacer: Pacer
  readonly #terms: Terms
  readonly #hurry = new Doorbell()
  /** Rings when a request has failed, or the gate has moved. */
  readonly #stirred = new Doorbell()
  #waiting: Waiting | undefined
  #heldBy: string | undefined
  #failure: Error | undefined
  /** Since the last success. */
  #failures = 0
  #receiptsSeen = 0
  #succeededMs: number
  /** Since delivery took up again after a failure: what failed before that has been waited for. */
  #round = 0
  #abandoning = new AbortController()
  #isWatching = false

  constructor(queue: Queue, link: Link, world: World, options: DeliveryOptions) {
    const { requestMaxBytes, rateLimit, pinned, signer } = options
    this.#queue = queue
    this.#world = world
    this.#options = options
    this.#succeededMs = world.clock.monotonicMs()
    const limit = rateLimit === undefined ? undefined : new TokenBucket(rateLimit, this.#succeededMs)
    const model = new LinkModel()
    const size = new RequestSize(requestMaxBytes)
    this.#pacer = new Pacer(model, world.clock, limit)
    const { device } = queue.head
    const parties = { pinned, device, fingerprint: base64url(sha256(signer.publicKey.bytes)) }
    const parts = { queue, link, world, model, size, pacer: this.#pacer, parties, signer }
    this.#requests = new Requests(parts)
    this.#terms = new Terms(parts, async () => options.onReceiptsLost?.())
    this.#dispatch = new Dispatch(parts, this.#requests, this.#terms)
  }

  get report(): LinkReport {
    const { notice } = this.#terms
    return { ...this.#state, ...(notice === undefined ? {} : { notice }) }
  }

  get #state(): LinkReport {
    if (this.#heldBy !== undefined) return { is: 'held', why: this.#heldBy }
    if (this.#waiting) {
      const { why, course, untilMs } = this.#waiting
      const retryInMs = Math.max(0, Math.round(untilMs - this.#world.clock.monotonicMs()))
      return { is: 'waiting', why, because: course, attempts: this.#failures, retryInMs }
    }
    const { records, bytes } = this.#requests
    if (records === 0) return { is: 'idle' }
    const { rateLimit } = this.#options
    return { is: 'sending', records, bytes, ...(rateLimit === undefined ? {} : { rateLimit }) }
  }

  /** How large a chunk may be for this server, at most. */
  get maxChunkBytes(): number {
    return this.#terms.maxChunkBytes
  }

  /** Ends a pause between attempts: there may be a link now. */
  hurry(): void {
    this.#hurry.ring()
  }

  /** Delivers until the signal fires. What is under way then is given up; its records stay queued. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#terms.recall()
    await using tasks = new TaskGroup()
    const abandon = (): void => this.#abandoning.abort()
    signal.addEventListener('abort', abandon)
    try {
      // Behind a gate it waits for something to send: a gate is not looked at for this.
      if (!this.#options.gate) this.#askTerms(tasks)
      while (!signal.aborted) await this.#deliverOn(tasks, signal)
    } finally {
      signal.removeEventListener('abort', abandon)
      abandon()
      this.#requests.release()
    }
  }

  async #deliverOn(tasks: TaskGroup, signal: AbortSignal): Promise<void> {
    try {
      await pRetry(() => this.#deliver(tasks, signal), {
        retries: Infinity,
        minTimeout: 0,
        signal,
        onFailedAttempt: ({ error }) => this.#pause(error, signal),
      })
    } catch (cause) {
      if (!signal.aborted) throw cause
    }
  }

  /** Sends what there is, and waits for more. Throws when a request has failed. */
  async #deliver(tasks: TaskGroup, signal: AbortSignal): Promise<void> {
    if (this.#failure instanceof Undelivered) this.#failure = undefined
    this.#waiting = undefined
    this.#round++
    const bells = [this.#queue.changed, this.#pacer.moved, this.#requests.ended, this.#stirred]
    while (!signal.aborted) {
      const seen = bells.map((bell) => bell.rings)
      this.#noteSuccess()
      this.#throwFailure()
      if (await this.#isHeld()) await this.#opened(signal)
      else if (await this.#startNext(tasks)) continue
      else await this.#anyRing(bells, seen, signal)
    }
  }

  #anyRing(bells: readonly Doorbell[], seen: readonly number[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#world
    const waits = bells.map((bell, index) => (over: AbortSignal) => {
      return bell.waitBeyond(seen[index] ?? 0, Infinity, clock, over)
    })
    return firstOf(waits, signal)
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure) throw failure
  }

  #noteSuccess(): void {
    const { receipts } = this.#requests
    if (receipts === this.#receiptsSeen) return
    this.#receiptsSeen = receipts
    this.#succeededMs = this.#world.clock.monotonicMs()
    if (this.#failures === 0) return
    this.#world.journal.deliveryRecovered(this.#failures)
    this.#failures = 0
    this.#terms.mayHaveChanged()
  }

  /** True when a request was started. */
  async #startNext(tasks: TaskGroup): Promise<boolean> {
    const next = await this.#dispatch.next(this.#failures > 0)
    if (!next) return false
    // Taking a batch waits for the disk: the link may have failed meanwhile, or the gate closed.
    if (this.#failure || this.#heldBy !== undefined || this.#abandoning.signal.aborted) {
      if (next.is === 'batch') this.#requests.putBack(next.batch)
      return true
    }
    const { signal } = this.#abandoning
    this.#askTerms(tasks)
    const round = this.#round
    const tell = (cause: unknown): void => this.#fail(cause, round)
    tasks.start(() => {
      return next.is === 'question'
        ? this.#requests.ask(signal, tell)
        : this.#requests.carry(next.batch, signal, tell)
    })
    const { gate } = this.#options
    if (gate && !this.#isWatching) tasks.start(() => this.#watchGate(gate))
    return true
  }

  #askTerms(tasks: TaskGroup): void {
    if (!this.#terms.isDue) return
    const round = this.#round
    tasks.start(() =>
      this.#terms.ask(this.#abandoning.signal).catch((cause: unknown) => this.#fail(cause, round)),
    )
  }

  /** Ends `#deliver`; but what began before the last pause has been waited for already. */
  #fail(cause: unknown, round: number): void {
    if (!(cause instanceof Error)) throw cause
    if (cause instanceof Undelivered && round !== this.#round) return
    this.#failure ??= cause
    this.#stirred.ring()
  }

  /** Only asked where there is something to send: a gate is not looked at for nothing. */
  async #isHeld(): Promise<boolean> {
    const { gate } = this.#options
    const { signal } = this.#abandoning
    const isIdle = this.#queue.ledger.records <= this.#queue.aside.length
    const why = isIdle ? undefined : await gate?.closedBy(signal)
    // When it is given up meanwhile, who does that has said why.
    if (isIdle || !signal.aborted) this.#heldBy = why
    return this.#heldBy !== undefined
  }

  /** Resolves when the gate is open, or the signal fires. */
  async #opened(signal: AbortSignal): Promise<void> {
    const { clock, journal } = this.#world
    journal.deliveryHeld(this.#heldBy ?? '')
    while (!signal.aborted && this.#heldBy !== undefined) {
      await clock.sleep(this.#options.gate?.everyMs ?? 0, signal)
      this.#heldBy = await this.#options.gate?.closedBy(signal)
    }
    journal.deliveryReleased()
  }

  /** While something is under way. When the gate closes it is given up at once. */
  async #watchGate(gate: Gate): Promise<void> {
    const { signal } = this.#abandoning
    this.#isWatching = true
    while (!signal.aborted && this.#isUnderWay) {
      await this.#world.clock.sleep(gate.everyMs, signal)
      const why = await gate.closedBy(signal)
      if (why !== undefined && this.#isUnderWay) this.#abandon(why)
    }
    this.#isWatching = false
  }

  get #isUnderWay(): boolean {
    return this.#requests.count > 0 || this.#requests.isAsking
  }

  #abandon(why: string): void {
    const abandoning = this.#abandoning
    this.#heldBy = why
    this.#abandoning = new AbortController()
    abandoning.abort()
    this.#stirred.ring()
  }

  async #pause(error: Error, signal: AbortSignal): Promise<void> {
    const { clock, journal, surroundings } = this.#world
    this.#failures++
    // What failed was another request's, where a receipt comes: there is a server, and it takes what it is sent.
    const bells = [this.#hurry, this.#requests.receipted]
    const seen = bells.map((bell) => bell.rings)
    const failed = error instanceof Undelivered ? error : new Undelivered(sayCause(error))
    const ms = this.#pauseMs(failed)
    const { message: why, course } = failed
    this.#waiting = { why, course, untilMs: clock.monotonicMs() + ms }
    journal.deliveryFailed(why, this.#failures, ms)
    this.#queue.changed.ring()
    const slept = (over: AbortSignal): Promise<void> => clock.sleep(ms, over)
    const rung = (over: AbortSignal): Promise<void> => this.#anyRing(bells, seen, over)
    await firstOf([slept, rung, (over) => surroundings.changed(over)], signal)
  }

  #pauseMs({ retryAfterMs, course, isCut }: Undelivered): number {
    const { retry } = this.#options
    const { chance, clock } = this.#world
    // Nobody signed a Retry-After: it may make the drone wait for a while, and not for days.
    const askedMs = Math.min(retryAfterMs, longestRetryAfterMs)
    const slowMs = course === 'person' ? Math.floor(retry.maxMs / 2) : 0
    const outageMs = clock.monotonicMs() - this.#succeededMs
    const drawnMs = isCut
      ? outagePauseMs(this.#failures, outageMs, retry, chance)
      : pauseMs(this.#failures, retry, chance)
    return Math.max(askedMs, slowMs, drawnMs)
  }
}
