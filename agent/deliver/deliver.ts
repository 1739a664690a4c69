import pRetry from 'p-retry'
import type { PublicKey, Signer } from '../../protocol/ed25519-policy.ts'
import { base64url, sha256 } from '../../protocol/ids.ts'
import type { LinkReport } from '../control/report.ts'
import { anyRing, Doorbell, ringsOf } from '../doorbell.ts'
import type { Queue } from '../queue/queue.ts'
import { TaskGroup } from '../task-group.ts'
import type { World } from '../world.ts'
import type { RetryPolicy } from './backoff.ts'
import { Dispatch } from './dispatch.ts'
import type { Gate } from './gate.ts'
import { Hold } from './hold.ts'
import { LinkModel } from './link-model.ts'
import type { Link } from './link.ts'
import { Pacer } from './pacer.ts'
import { Pauses } from './pauses.ts'
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

/** Carries records from the queue to the server until each has its receipt, for ever. */
export class Delivery {
  readonly #queue: Queue
  readonly #world: World
  readonly #options: DeliveryOptions
  readonly #requests: Requests
  readonly #dispatch: Dispatch
  readonly #pacer: Pacer
  readonly #terms: Terms
  readonly #hold: Hold
  readonly #pauses: Pauses
  /** Rings when a request has failed. */
  readonly #failed = new Doorbell()
  #failure: Error | undefined
  #receiptsSeen = 0
  /** Since delivery took up again after a failure: what failed before that has been waited for. */
  #round = 0

  constructor(queue: Queue, link: Link, world: World, options: DeliveryOptions) {
    const { requestMaxBytes, rateLimit, retry, gate, pinned, signer } = options
    this.#queue = queue
    this.#world = world
    this.#options = options
    const limit = rateLimit === undefined ? undefined : new TokenBucket(rateLimit, world.clock.monotonicMs())
    const model = new LinkModel()
    const size = new RequestSize(requestMaxBytes)
    this.#pacer = new Pacer(model, world.clock, limit)
    const { device } = queue.head
    const parties = { pinned, device, fingerprint: base64url(sha256(signer.publicKey.bytes)) }
    const parts = { queue, link, world, model, size, pacer: this.#pacer, parties, signer }
    const requests = new Requests(parts)
    this.#requests = requests
    this.#terms = new Terms(parts, async () => options.onReceiptsLost?.())
    this.#dispatch = new Dispatch(parts, requests, this.#terms)
    this.#hold = new Hold(gate, world, {
      isIdle: () => queue.ledger.records <= queue.asideRecords,
      isUnderWay: () => requests.count > 0 || requests.isAsking,
    })
    this.#pauses = new Pauses({ world, retry, receipted: requests.receipted, changed: queue.changed })
  }

  get report(): LinkReport {
    // While nothing gets through that is said already, and why.
    const doubt = this.#pauses.failures === 0 ? this.#terms.doubt : undefined
    const notice = this.#terms.notice ?? doubt
    return { ...this.#state, ...(notice === undefined ? {} : { notice }) }
  }

  get #state(): LinkReport {
    if (this.#hold.why !== undefined) return { is: 'held', why: this.#hold.why }
    return this.#pauses.report ?? this.#progress
  }

  get #progress(): LinkReport {
    const { records, bytes } = this.#requests
    if (records === 0) return { is: 'idle' }
    const { rateLimit } = this.#options
    return { is: 'sending', records, bytes, ...(rateLimit === undefined ? {} : { rateLimit }) }
  }

  /** How large a chunk may be for this server, at most. */
  get maxChunkBytes(): number {
    return this.#terms.maxChunkBytes
  }

  /** The same where much waits in a file, and nobody chose a size. */
  get catchUpBytes(): number {
    return this.#terms.catchUpBytes
  }

  /** Ends a pause between attempts: there may be a link now. */
  hurry(): void {
    this.#pauses.hurry.ring()
  }

  /** Delivers until the signal fires. What is under way then is given up; its records stay queued. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#terms.recall()
    await using tasks = new TaskGroup()
    const { abandon } = this.#hold
    signal.addEventListener('abort', abandon)
    try {
      // Behind a gate it waits for something to send: a gate is not looked at for this.
      if (!this.#options.gate) this.#askTerms(tasks)
      while (!signal.aborted) await this.#deliverOn(tasks, signal)
    } finally {
      signal.removeEventListener('abort', abandon)
      abandon()
    }
  }

  async #deliverOn(tasks: TaskGroup, signal: AbortSignal): Promise<void> {
    try {
      await pRetry(() => this.#deliver(tasks, signal), {
        retries: Infinity,
        minTimeout: 0,
        signal,
        onFailedAttempt: ({ error }) => this.#pauses.pause(error, signal),
      })
    } catch (cause) {
      if (!signal.aborted) throw cause
    }
  }

  /** Sends what there is, and waits for more. Throws when a request has failed. */
  async #deliver(tasks: TaskGroup, signal: AbortSignal): Promise<void> {
    if (this.#failure instanceof Undelivered) this.#failure = undefined
    this.#pauses.end()
    this.#round++
    const { changed } = this.#queue
    const bells = [changed, this.#pacer.moved, this.#requests.ended, this.#failed, this.#hold.closed]
    while (!signal.aborted) {
      const seen = ringsOf(bells)
      this.#noteSuccess()
      this.#throwFailure()
      if (await this.#hold.isClosed()) await this.#hold.opened(signal)
      else if (await this.#startNext(tasks)) continue
      else await anyRing(bells, seen, this.#dispatch.gatherMs, this.#world.clock, signal)
    }
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
    if (this.#pauses.succeeded()) this.#terms.mayHaveChanged()
  }

  /** True when a request was started. */
  async #startNext(tasks: TaskGroup): Promise<boolean> {
    const next = await this.#dispatch.next(this.#pauses.failures > 0)
    if (!next) return false
    const { why, signal } = this.#hold
    // Taking a batch waits for the disk: the link may have failed meanwhile, or the gate closed.
    if (this.#failure || why !== undefined || signal.aborted) {
      if (next.is === 'batch') this.#requests.putBack(next.batch)
      return true
    }
    this.#askTerms(tasks)
    const round = this.#round
    const tell = (cause: unknown): void => this.#fail(cause, round)
    tasks.start(() => {
      return next.is === 'question'
        ? this.#requests.ask(signal, tell)
        : this.#requests.carry(next.batch, signal, tell)
    })
    this.#hold.watch(tasks)
    return true
  }

  #askTerms(tasks: TaskGroup): void {
    if (!this.#terms.isDue) return
    const round = this.#round
    tasks.start(() => this.#terms.ask(this.#hold.signal).catch((cause: unknown) => this.#fail(cause, round)))
  }

  /** Ends `#deliver`; but what began before the last pause has been waited for already. */
  #fail(cause: unknown, round: number): void {
    if (!(cause instanceof Error)) throw cause
    if (cause instanceof Undelivered && round !== this.#round) return
    this.#failure ??= cause
    this.#failed.ring()
  }
}
