import type { ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { StreamId } from '../../protocol/ids.ts'
import type { RecordName } from '../../protocol/query.ts'
import type { QueueState } from './queue-state.ts'
import { Doorbell } from '../doorbell.ts'
import type { Clock } from '../clock.ts'
import type { Path, World } from '../world.ts'
import { endOf, keys, noteKey, type AsideEntry, type IndexEntry, type Place } from './index-entry.ts'
import { bytesInFiles, type Whereabouts } from './find-bytes.ts'
import { del, put } from './index-store.ts'
import { Intake } from './intake.ts'
import type { Arrival } from './arrival.ts'
import { unnamedBetween, type Hole } from './find-holes.ts'
import { joinShipped, type Joined, type ReadRange } from './join-ranges.ts'
import type { Ledger } from './ledger.ts'
import { openQueue, type OpenedQueue, type QueueOptions } from './open-queue.ts'
import type { Batch } from './batch.ts'
import { lanes, type Lane } from './lane.ts'
import { readLastReceipted, type NoteName } from './notes.ts'
import { Outflow } from './outflow.ts'
import { ownKeys } from './own-keys.ts'
import { RecordReader } from './record-reader.ts'
import { Room } from './room.ts'
import type { ResumePoint } from './resume-point.ts'
import { SealingAnew } from './seal-anew.ts'
import { shippedRanges, type ShippedRange } from './shipped.ts'
import { StreamPoints } from './stream-points.ts'

/**
 * What must survive a power cut: sealed records in segment files, and in LevelDB what points to them, the chain's head and
 * the resume points. A record is taken only when all of that is on the disk, and forgotten only on a receipt.
 */
export class Queue implements AsyncDisposable {
  /** Rings at every change. */
  readonly changed: Doorbell
  readonly maxBytes: number
  readonly #opened: OpenedQueue
  readonly #whereabouts: Whereabouts
  readonly #clock: Clock
  readonly #intake: Intake
  readonly #outflow: Outflow
  readonly #ways: Parameters<typeof joinShipped>[3]
  readonly #sealingAnew: SealingAnew
  readonly #points: StreamPoints
  #areHolesMended: boolean

  private constructor(opened: OpenedQueue, options: QueueOptions, signer: Signer, world: World) {
    this.changed = new Doorbell()
    this.maxBytes = options.maxBytes
    this.#opened = opened
    this.#areHolesMended = opened.holes.length === 0
    const own = ownKeys(options.device, signer)
    const whereabouts = { isUnknown: options.isLookComing ?? false, pathOf: () => undefined }
    this.#whereabouts = whereabouts
    this.#clock = world.clock
    const findBytes = options.findBytes ?? bytesInFiles(world.files, opened.resumePoints, this.#whereabouts)
    const reader = new RecordReader(opened.segments, own, findBytes, () => whereabouts.isUnknown)
    this.#outflow = new Outflow(opened, reader, world.journal, this.changed)
    const room = new Room(opened, options, world, (atMost) => this.#outflow.evict(atMost))
    const { stateDirectory } = options
    this.#points = new StreamPoints(opened, world.clock)
    const { seen } = this.#points
    const ground = { stateDirectory, signer, world, changed: this.changed }
    const tookIn = (lane: Lane): void => this.#outflow.view(lane).stir()
    this.#intake = new Intake(opened, { ...ground, room, seen, tookIn, replacement: this.#outflow })
    this.#ways = { opened, intake: this.#intake, outflow: this.#outflow }
    this.#sealingAnew = new SealingAnew({ reader, clock: world.clock, ...this.#ways })
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

  /**
   * Has the chain numbered as one that begins at this time, where nothing is sealed in it yet and its number is of an
   * earlier time, as by a clock that is not set: what it brings then comes after all that this drone ever sent.
   */
  outdo(wallMs: number): Promise<void> {
    return this.#intake.outdo(wallMs)
  }

  get ledger(): Ledger {
    return this.#opened.ledger
  }

  /** How many files of segments it holds open. */
  get openSegments(): number {
    return this.#opened.segments.count
  }

  /** What is kept and not sent: the first of them. */
  get aside(): readonly AsideEntry[] {
    return this.#opened.aside.named
  }

  /** How many are kept and not sent. */
  get asideRecords(): number {
    return this.#opened.aside.records
  }

  /** What was read and is in no record any more: index and segments have lost it. */
  get holes(): readonly Hole[] {
    return this.#opened.holes
  }

  /** Where the LevelDB is kept that was damaged at this start. */
  get movedAside(): string | undefined {
    return this.#opened.movedAside
  }

  /** How many records neither index nor segments have any more. */
  get missing(): number {
    return this.#opened.missing
  }

  /** Whether all of them are in the queue again, or named as lost. */
  get areHolesMended(): boolean {
    return this.#areHolesMended
  }

  /** All that can be done about the holes is done. The next start looks for them where that cannot be noted. */
  async holesMended(): Promise<void> {
    this.#areHolesMended = true
    this.changed.ring()
    if (this.#opened.missing > 0) await this.#opened.index.write([del(keys.missing)]).catch(() => undefined)
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
  setResumePoint(point: ResumePoint): Promise<void> {
    return this.setResumePoints([point])
  }

  /** The same for many, with one write: all or none. */
  setResumePoints(points: readonly ResumePoint[]): Promise<void> {
    return this.#points.set(points)
  }

  /**
   * The file of this stream is known to have been so large. While records wait for room, that is stored within about a
   * second; else the stream's next record brings it.
   */
  sawSize(stream: StreamId, bytes: number): void {
    this.#points.seen.saw(stream, bytes)
  }

  /** Forgets from where a file was to be read on, because nothing more will be read of this generation. */
  endStream(stream: StreamId): Promise<void> {
    return this.#outflow.inTurn(() => this.#points.end(stream))
  }

  /** The ranges of its data records, in the order of their offsets, as long as the stream has a resume point or records wait. */
  shipped(stream: StreamId): AsyncIterable<ShippedRange> {
    return shippedRanges(this.#opened.index, stream)
  }

  /** Has the index keep adjoining small ranges as one: the first such from an offset on, where the file holds what was shipped. */
  joinShipped(stream: StreamId, from: number, read: ReadRange): Promise<Joined> {
    return joinShipped(stream, from, read, this.#ways)
  }

  /** What is in no record of the stream between two offsets, as long as it has a resume point or records wait. */
  unnamed(stream: StreamId, from: number, to: number): Promise<readonly Hole[]> {
    return unnamedBetween(this.#opened.index, stream, from, to)
  }

  /** Files were looked for: what is not found at `pathOf`, or where it was, is not there. To be told again after each look. */
  async looked(pathOf: Whereabouts['pathOf']): Promise<void> {
    const wasUnknown = this.#whereabouts.isUnknown
    Object.assign(this.#whereabouts, { isUnknown: false, pathOf })
    if (!wasUnknown) return
    // A disk that refuses is asked again after the next look.
    await this.#outflow.looked().catch(() => (this.#whereabouts.isUnknown = true))
    this.changed.ring()
  }

  /** Where the file of a stream is, once files were looked for; undefined where none was found, or the signal fires first. */
  async pathOf(stream: StreamId, signal: AbortSignal): Promise<Path | undefined> {
    while (this.#whereabouts.isUnknown && !signal.aborted)
      await this.changed.waitBeyond(this.changed.rings, Infinity, this.#clock, signal)
    return this.#whereabouts.pathOf(stream)
  }

  /**
   * Hands out records of one lane, of the highest that has any or of the one that is named: its oldest that are not handed
   * out, at least one and else no more than `maxBytes`; undefined when none waits. Each is checked. One that is damaged is
   * made again from its file, or goes without its body; where not even its envelope is left, it is set aside. Several
   * batches can be out at once; each must be given back.
   */
  take(maxBytes: number, maxRecords: number, lane?: Lane): Promise<Batch | undefined> {
    return this.#outflow.take(maxBytes, maxRecords, () => this.#end, lane ? [lane] : lanes)
  }

  /**
   * Passes over these of a batch, which is still to be given back, and so many behind it that were not handed out yet,
   * though never the newest: none of them is handed out in its turn any more.
   */
  passOver(entries: readonly IndexEntry[], untried: number): Promise<void> {
    return this.#outflow.passOver(entries, untried, () => this.#end)
  }

  /** Those that were last passed over untried are handed out in their turn. */
  takeBackUntried(): void {
    this.#outflow.takeBackUntried()
  }

  /** Hands out the next of those that were passed over; where they take turns, behind the last the first again. */
  takePassedOver(maxBytes: number, maxRecords: number, isInTurn: boolean): Promise<Batch | undefined> {
    return this.#outflow.takePassedOver(maxBytes, maxRecords, isInTurn)
  }

  /** The next of those that were passed over is the first. */
  rewindPassedOver(): void {
    this.#outflow.rewindPassedOver()
  }

  /** Ends a batch: its bytes are no longer valid, and what was neither forgotten nor set aside can be handed out again. */
  giveBack(batch: Batch): void {
    this.#outflow.giveBack(batch)
  }

  /**
   * Forgets records for which a verified receipt says that the server has them, and those that it has without their body,
   * as they were sent: their bytes count as lost. Segments that are empty then go.
   */
  forget(received: readonly IndexEntry[], withoutBody: readonly IndexEntry[] = []): Promise<void> {
    const forget = (): Promise<void> => this.#outflow.forget(received, withoutBody, () => this.#end)
    return this.#sealingAnew.whileForgotten(received, forget)
  }

  /**
   * Seals again, in a new chain, what this record holds and no newer one does, and forgets it with the same write: the server has
   * it apart, because another holds its place. Does not wait for room, and not for long for the disk. False where the record
   * stays: for that, because the signal fires, or because its bytes are still looked for.
   */
  sealAnew(entry: IndexEntry, signal: AbortSignal): Promise<boolean> {
    return this.#sealingAnew.take(entry, signal)
  }

  /** Keeps records that the server refused, without holding up those behind them. */
  setAside(entries: readonly AsideEntry[]): Promise<void> {
    return this.#outflow.setAside(entries)
  }

  /** The record that was forgotten last for a receipt. */
  lastReceipted(): Promise<RecordName | undefined> {
    return readLastReceipted(this.#opened.index)
  }

  /** What was remembered under this name. */
  recall(name: NoteName): Promise<string | undefined> {
    return this.#opened.index.get(noteKey(name))
  }

  remember(name: NoteName, text: string): Promise<void> {
    return this.#opened.index.write([put(noteKey(name), text)])
  }

  /** Whether any record before this place is still here, waiting or set aside; what took the place of such a one counts, too. */
  holdsBefore(end: Place): Promise<boolean> {
    return this.#outflow.holdsBefore(this.#sealingAnew.endOf(end))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#intake.close()
    await this.#sealingAnew.ended()
    await this.#opened.disposal.disposeAsync()
  }

  get #end(): Place {
    return endOf(this.#intake.head)
  }
}
