import type { ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { StreamId } from '../../protocol/ids.ts'
import type { QueueState } from './queue-state.ts'
import { Doorbell } from '../doorbell.ts'
import type { World } from '../world.ts'
import {
  lostKey,
  receiptedKey,
  resumeKey,
  type AsideEntry,
  type IndexEntry,
  type Place,
} from './index-entry.ts'
import { del, put } from './index-store.ts'
import { Intake } from './intake.ts'
import type { Arrival } from './arrival.ts'
import type { Ledger } from './ledger.ts'
import { openQueue, type OpenedQueue, type QueueOptions } from './open-queue.ts'
import { Outflow, type Batch } from './outflow.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import { forgetShipped, shippedRanges, type ShippedRange } from './shipped.ts'

/**
 * What must survive a power cut: sealed records in segment files, and in LevelDB what points to them, the chain's head and
 * the resume points. A record is taken only when all of that is on the disk, and forgotten only on a receipt.
 */
export class Queue implements AsyncDisposable {
  /** Rings at every change. */
  readonly changed: Doorbell
  readonly maxBytes: number
  readonly #opened: OpenedQueue
  readonly #intake: Intake
  readonly #outflow: Outflow

  private constructor(opened: OpenedQueue, options: QueueOptions, signer: Signer, world: World) {
    this.changed = new Doorbell()
    this.maxBytes = options.maxBytes
    this.#opened = opened
    this.#intake = new Intake(opened, options.maxBytes, signer, world, this.changed)
    this.#outflow = new Outflow(opened, options.device, signer, world.journal, this.changed)
  }

  /** Throws STATE_HELD where another agent has it open, QUEUE_UNREADABLE where it does not open. */
  static async open(options: QueueOptions, signer: Signer, world: World): Promise<Queue> {
    return new Queue(await openQueue(options, signer, world), options, signer, world)
  }

  get state(): QueueState {
    return this.#intake.state
  }

  /** Where the chain ends, as it stands on the disk. */
  get head(): ChainHead {
    return this.#intake.head
  }

  get ledger(): Ledger {
    return this.#opened.ledger
  }

  /** What is kept and not sent. */
  get aside(): readonly AsideEntry[] {
    return this.#opened.aside
  }

  get resumePoints(): ReadonlyMap<StreamId, ResumePoint> {
    return this.#opened.resumePoints
  }

  /**
   * Seals what arrives and stores record, resume point and chain head: all or none survive. Waits while the queue is full
   * or the disk refuses; false when the signal fires before then. Arrivals are sealed in the order of the calls.
   */
  append(arrival: Arrival, signal: AbortSignal): Promise<boolean> {
    return this.#intake.append(arrival, signal)
  }

  /** Moves a resume point without a record, as where a stream begins. */
  async setResumePoint(point: ResumePoint): Promise<void> {
    await this.#opened.index.write([put(resumeKey(point.stream), encodeResumePoint(point))])
    this.#opened.resumePoints.set(point.stream, point)
  }

  /** Forgets from where a file was to be read on, because nothing more will be read of this generation. */
  async endStream(stream: StreamId): Promise<void> {
    const isCounted = this.#opened.ledger.queuedBytes(stream) > 0
    await this.#opened.index.write([
      del(resumeKey(stream)),
      ...(await forgetShipped(this.#opened.index, stream)),
      ...(isCounted ? [] : [del(receiptedKey(stream)), del(lostKey(stream))]),
    ])
    this.#opened.resumePoints.delete(stream)
    this.#opened.ledger.forgetStream(stream)
  }

  /** The ranges of its data records, in the order of their offsets, as long as the stream has a resume point. */
  shipped(stream: StreamId): AsyncIterable<ShippedRange> {
    return shippedRanges(this.#opened.index, stream)
  }

  /**
   * The oldest records, at least one and else no more than `maxBytes`; undefined when none waits. Each is checked: one
   * that is damaged is set aside, so a batch may have no entry left.
   */
  nextBatch(maxBytes: number, maxRecords: number): Promise<Batch | undefined> {
    return this.#outflow.nextBatch(maxBytes, maxRecords, this.#end)
  }

  /** Forgets records for which a verified receipt says that the server has them. Segments that are empty then go. */
  forget(entries: readonly IndexEntry[]): Promise<void> {
    return this.#outflow.forget(entries, this.#end)
  }

  /** Keeps records that the server refused, without holding up those behind them. */
  setAside(entries: readonly AsideEntry[]): Promise<void> {
    return this.#outflow.setAside(entries)
  }

  /** Whether any record before this place is still here, waiting or set aside. */
  holdsBefore(end: Place): Promise<boolean> {
    return this.#outflow.holdsBefore(end)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#intake.close()
    await this.#opened.disposal.disposeAsync()
  }

  get #end(): Place {
    const { epoch, next } = this.#intake.head
    return { epoch, seq: next }
  }
}
