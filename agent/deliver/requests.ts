import { mediaTypes, paths } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { Doorbell } from '../doorbell.ts'
import type { Batch, BatchEntry } from '../queue/batch.ts'
import { placeText } from '../queue/index-entry.ts'
import type { Queue } from '../queue/queue.ts'
import type { World } from '../world.ts'
import { acceptedTypes, askForReceipts, maxAnswerBytes } from './asking.ts'
import { Doubts } from './doubts.ts'
import { hangUpOn } from './hang-up.ts'
import type { LinkModel } from './link-model.ts'
import { linkCodes, type Answer, type Link } from './link.ts'
import type { Pacer, Passage } from './pacer.ts'
import { readAnswer, readQueryAnswer, type Meaning, type Parties, type ReceiptRead } from './read-answer.ts'
import { Refusals } from './refusals.ts'
import type { RequestSize } from './request-size.ts'
import { Suspects } from './suspects.ts'
import { Undelivered } from './undelivered.ts'

export interface RequestParts {
  readonly queue: Queue
  readonly link: Link
  readonly world: World
  readonly model: LinkModel
  readonly size: RequestSize
  readonly pacer: Pacer
  readonly parties: Parties
  readonly signer: Signer
}

/** A connection that leads nowhere most often breaks sooner. */
const standingMs = 100
/** 64 kbit/s */
const slowestBytesPerMs = 8

type Failed = Extract<Meaning, { is: 'failed' }>

/** The requests that are under way, and what becomes of their batches. */
export class Requests {
  /** Rings when one has ended. */
  readonly ended = new Doorbell()
  /** Rings when a receipt has let something go. */
  readonly receipted = new Doorbell()
  readonly doubts = new Doubts()
  readonly suspects: Suspects
  readonly #parts: RequestParts
  readonly #refusals = new Refusals()
  readonly #underWay = new Map<Batch, Passage>()
  #receipts = 0
  #isAsking = false
  #isQuestionOut = false
  #wasCut = false

  constructor(parts: RequestParts) {
    this.#parts = parts
    this.suspects = new Suspects(parts.queue)
  }

  /** Receipts that came so far. */
  get receipts(): number {
    return this.#receipts
  }

  get isAsking(): boolean {
    return this.#isAsking
  }

  /** A question is under way that left, and for a while nothing broke: there may be a link. */
  get isQuestionOut(): boolean {
    return this.#isQuestionOut
  }

  /** The last that failed had no answer. */
  get wasCut(): boolean {
    return this.#wasCut
  }

  /** A connection was made, and took something of a batch that is under way. */
  get hasLeft(): boolean {
    return [...this.#underWay].some(([{ bytes }, { restBytes }]) => restBytes < bytes.length)
  }

  /** Batches under way. */
  get count(): number {
    return this.#underWay.size
  }

  get records(): number {
    return [...this.#underWay.keys()].reduce((sum, { entries }) => sum + entries.length, 0)
  }

  get bytes(): number {
    return [...this.#underWay.keys()].reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  /** Of batches that left whole and have no receipt yet. */
  get awaitedBytes(): number {
    const whole = [...this.#underWay.values()].filter(({ restBytes }) => restBytes === 0)
    return whole.reduce((sum, { upload }) => sum + upload.bytes, 0)
  }

  /** Nothing more is there to send: what is under way says nothing about how much the link could carry. */
  starve(): void {
    for (const { upload } of this.#underWay.values()) upload.isStarved = true
  }

  /**
   * Sends a batch and does what its answer says. Tells what makes it necessary to send something of it again, and after
   * that gives it back to the queue, unless it is in doubt.
   */
  async carry(batch: Batch, signal: AbortSignal, tellFailure: (cause: unknown) => void): Promise<void> {
    const { pacer, world } = this.#parts
    const passage = pacer.open(batch.lane, batch.bytes.length)
    this.#underWay.set(batch, passage)
    world.journal.requestSent(batch.entries.length, batch.bytes.length)
    try {
      await this.#exchange(batch, passage, signal)
    } catch (cause) {
      tellFailure(cause)
    } finally {
      pacer.close(passage)
      this.#underWay.delete(batch)
      this.suspects.left(batch)
      if (!this.doubts.holds(batch)) this.#parts.queue.giveBack(batch)
      this.ended.ring()
    }
  }

  async #exchange(batch: Batch, passage: Passage, signal: AbortSignal): Promise<void> {
    const { pacer, link } = this.#parts
    const onItsWayMs = this.#onItsWayMs(batch.bytes.length)
    const about = { mediaType: mediaTypes.batch, accept: acceptedTypes, maxAnswerBytes, onItsWayMs }
    const request = {
      method: 'POST',
      path: paths.chunks,
      body: batch.bytes,
      ...about,
      sluice: passage,
    } as const
    const answer = await link.send(request, signal)
    pacer.close(passage)
    await this.#settle(batch, passage, answer, signal)
  }

  /** Four times what the model says, for a link that has just become slow; or, on the slowest, all of it. */
  #onItsWayMs(bytes: number): number {
    const { rate } = this.#parts.model
    return rate === undefined ? bytes / slowestBytesPerMs : (4 * bytes) / rate
  }

  async #settle(batch: Batch, passage: Passage, answer: Answer, signal: AbortSignal): Promise<void> {
    const { model, size, world } = this.#parts
    const meaning = readAnswer(answer, batch.entries, this.#parts.parties)
    if (meaning.is === 'failed') {
      hangUpOn(answer, meaning.course)
      model.abandoned(passage.upload, world.clock.monotonicMs())
      return this.#fail(batch, passage, answer, meaning)
    }
    model.receipted(passage.upload, world.clock.monotonicMs())
    size.grow()
    const left = await this.#take(meaning, signal)
    this.suspects.judged(batch)
    if (meaning.safe.length + meaning.withoutBody.length > 0) this.suspects.receipted(batch)
    if (left.length > 0) await this.suspects.refused(batch, left)
    await this.#refuse(batch, meaning)
    pauseAtForks(meaning)
  }

  /** Gives the forks that cannot be sealed anew now: they are not to hold up what is behind them. */
  async #take(
    { safe, withoutBody, forked }: ReceiptRead,
    signal: AbortSignal,
  ): Promise<readonly BatchEntry[]> {
    const { queue, world } = this.#parts
    const taken = [...safe, ...withoutBody]
    world.journal.receiptVerified(taken.length)
    if (taken.length > 0) await queue.forget(safe, withoutBody)
    // One that only tells of forks is no sign that things go well: the pauses grow.
    if (taken.length > 0 || forked.length === 0) this.#receipts++
    if (taken.length > 0) this.receipted.ring()
    this.#refusals.forget(taken)
    for (const entry of forked) world.journal.recordForked(placeText(entry))
    for (const [index, entry] of forked.entries())
      if (!(await queue.sealAnew(entry, signal))) return forked.slice(index)
    return []
  }

  /** What is refused for the first time may have been damaged on the way: it is passed over, and sent again. */
  async #refuse(batch: Batch, { refused, receiptId }: ReceiptRead): Promise<void> {
    const believed = this.#refusals.believe(refused, receiptId)
    if (believed.length > 0) await this.#parts.queue.setAside(believed)
    const places = new Set(believed.map(({ digest }) => digest))
    const doubted = refused.filter(({ entry }) => !places.has(entry.digest))
    const person = doubted.find(({ sense }) => sense.course === 'person')
    const suspects = doubted.filter(({ sense }) => sense.course !== 'person')
    const [first] = suspects
    if (first) {
      await this.suspects.refused(
        batch,
        suspects.map(({ entry }) => entry),
      )
    }
    if (person) throw new Undelivered(`${person.why}: ${person.sense.says}`, { course: 'person' })
    if (first && !this.suspects.isTriedBeside(batch)) throw new Undelivered(first.why)
  }

  async #fail(batch: Batch, { upload }: Passage, answer: Answer, failed: Failed): Promise<void> {
    const { size, model, world } = this.#parts
    const bytes = batch.bytes.length
    const isCut = answer.is === 'cut'
    this.#wasCut = isCut
    // Where the link is gone before anything could have come back, the size of what left is not to blame.
    const isSudden = world.clock.monotonicMs() - upload.beganMs <= model.roundTripMs
    const isSuspect = failed.course === 'smaller' && batch.entries.length === 1
    if (failed.course === 'smaller') await this.suspects.failed(batch, failed.why)
    if (failed.isInDoubt && !isSuspect) this.doubts.add(batch)
    if (failed.course === 'smaller' && this.suspects.isTriedBeside(batch)) return
    if (isCut && answer.code === linkCodes.abandoned) return
    if (answer.is === 'answered' && answer.status === 413) size.refusedAt(bytes)
    else if (failed.course === 'smaller' || (isCut && failed.isInDoubt && !isSudden)) size.shrink(bytes)
    throw new Undelivered(failed.why, { course: failed.course, retryAfterMs: failed.retryAfterMs, isCut })
  }

  /** Asks about batches in doubt: what the server has is forgotten, the rest can be sent again. */
  async ask(signal: AbortSignal, tellFailure: (cause: unknown) => void): Promise<void> {
    const asked = this.doubts.question()
    this.#isAsking = true
    const answered = new AbortController()
    const left = Promise.withResolvers<void>()
    const standing = left.promise.then(() => this.#noteStanding(answered.signal))
    try {
      await this.#ask(asked, left.resolve, signal)
    } catch (cause) {
      tellFailure(cause)
    } finally {
      answered.abort()
      left.resolve()
      await standing
      this.#isAsking = false
      this.#isQuestionOut = false
      for (const batch of asked) if (!this.doubts.holds(batch)) this.#parts.queue.giveBack(batch)
      this.ended.ring()
    }
  }

  async #noteStanding(signal: AbortSignal): Promise<void> {
    await this.#parts.world.clock.sleep(standingMs, signal)
    if (signal.aborted) return
    this.#isQuestionOut = true
    this.ended.ring()
  }

  async #ask(batches: readonly Batch[], tellLeft: () => void, signal: AbortSignal): Promise<void> {
    const { link, parties, signer, model, world } = this.#parts
    const records = batches.flatMap(({ entries }) => entries)
    const beganMs = world.clock.monotonicMs()
    const sluice = { take: async (wanted: number): Promise<number> => wanted, left: tellLeft }
    const answer = await link.send({ ...askForReceipts(records, parties.device, signer), sluice }, signal)
    const meaning = readQueryAnswer(answer, records, parties)
    const tookMs = world.clock.monotonicMs() - beganMs
    if (meaning.is === 'failed') return this.#unanswered(batches, answer, meaning, tookMs)
    model.noteRoundTrip(tookMs, world.clock.monotonicMs())
    this.doubts.settle(batches)
    await this.#take(meaning, signal)
    pauseAtForks(meaning)
  }

  #unanswered(batches: readonly Batch[], answer: Answer, failed: Failed, tookMs: number): void {
    const { course, why, retryAfterMs } = failed
    hangUpOn(answer, course)
    if (answer.is === 'cut' && answer.code === linkCodes.abandoned) return
    const isSudden = tookMs < this.#parts.model.roundTripMs
    if (answer.is === 'cut' && answer.sentBytes > 0) this.doubts.cut(batches, isSudden)
    if (answer.is === 'answered') this.doubts.unanswered(batches)
    throw new Undelivered(why, { course, retryAfterMs, isCut: answer.is === 'cut' })
  }

  /** A batch that was handed out and is not to be sent now. */
  putBack(batch: Batch): void {
    this.suspects.left(batch)
    this.#parts.queue.giveBack(batch)
  }
}

/** Where a server says so of whatever comes, no more of it is sealed anew than the pauses let through. */
function pauseAtForks({ forked }: ReceiptRead): void {
  const [first] = forked
  if (first)
    throw new Undelivered(
      `the server has another record at ${placeText(first)}: what it holds is sealed anew`,
    )
}
