import { isDeepStrictEqual } from 'node:util'
import type { ChainHead } from '../../protocol/chain.ts'
import { limits } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { StreamId } from '../../protocol/ids.ts'
import type { Manifest, RecordTime } from '../../protocol/manifest.ts'
import type { SealedRecord } from '../../protocol/seal.ts'
import { sealArrival, type Arrival } from './arrival.ts'
import type { QueueState } from './queue-state.ts'
import type { Doorbell } from '../doorbell.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import {
  encodeEntry,
  encodeHead,
  keys,
  lostKey,
  recordKey,
  resumeKey,
  type IndexEntry,
} from './index-entry.ts'
import { del, put, type IndexWrite } from './index-store.ts'
import type { OpenedQueue } from './open-queue.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import type { Extent } from './segment-log.ts'
import { forgetShipped, shippedWrite } from './shipped.ts'

type Sealed = SealedRecord

interface Waiting {
  readonly arrival: Arrival
  readonly signal: AbortSignal
  readonly taken: (isTaken: boolean) => void
}

/** Between tries at a disk that refuses, and the longest wait for room that nobody announces. */
const retryMs = 1000
/** Of the records that share one sync. */
const maxGroupBytes = 4 * 1024 * 1024

/**
 * The queue's way in. Chunks are sealed in the order in which they come and stored in groups: the segment first, synced,
 * then index entries, resume points and chain head in one synced write, all or none.
 */
export class Intake {
  readonly #opened: OpenedQueue
  readonly #maxBytes: number
  readonly #signer: Signer
  readonly #world: World
  readonly #changed: Doorbell
  readonly #closing = new AbortController()
  #waiting: Waiting[] = []
  #head: ChainHead
  #state: QueueState = { is: 'open' }
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false

  constructor(opened: OpenedQueue, maxBytes: number, signer: Signer, world: World, changed: Doorbell) {
    this.#opened = opened
    this.#maxBytes = maxBytes
    this.#signer = signer
    this.#world = world
    this.#changed = changed
    this.#head = opened.head
  }

  /** Where the chain ends, as it stands on the disk. */
  get head(): ChainHead {
    return this.#head
  }

  get state(): QueueState {
    return this.#state
  }

  /** As Queue.append. */
  append(arrival: Arrival, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = (): void => this.#changed.ring()
      const taken = (isTaken: boolean): void => {
        signal.removeEventListener('abort', wake)
        resolve(isTaken)
      }
      signal.addEventListener('abort', wake)
      this.#waiting.push({ arrival, signal, taken })
      if (!this.#isWriting) this.#writing = this.#writeWaiting()
    })
  }

  /** Gives up what could not be stored: its bytes are still in their files. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#changed.ring()
    await this.#writing
  }

  async #writeWaiting(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const seen = this.#changed.rings
      this.#giveUpStopped()
      const group = this.#nextGroup()
      if (group.length > 0) await this.#store(group)
      else if (this.#waiting.length > 0) await this.#waitForRoom(seen)
    }
    // In the same tick as the look at what waits: what comes later starts anew.
    this.#isWriting = false
  }

  #giveUpStopped(): void {
    const isStopped = ({ signal }: Waiting): boolean => signal.aborted || this.#closing.signal.aborted
    const stopped = this.#waiting.filter(isStopped)
    this.#waiting = this.#waiting.filter((waiting) => !isStopped(waiting))
    for (const { taken } of stopped) taken(false)
  }

  /** The chunks that come next, as many as fit into the queue and into one group; they leave the line once stored. */
  #nextGroup(): readonly Waiting[] {
    let bytes = 0
    const end = this.#waiting.findIndex(({ arrival }, index) => {
      bytes += (arrival.kind === 'data' ? arrival.body.body.length : 0) + limits.maxRecordOverheadBytes
      return !this.#fits(bytes, index) || (index > 0 && bytes > maxGroupBytes)
    })
    return end < 0 ? [...this.#waiting] : this.#waiting.slice(0, end)
  }

  /** A record larger than the bound passes when it is alone, or nothing would ever move again. */
  #fits(bytes: number, index: number): boolean {
    const held = this.#opened.segments.bytes
    return (held === 0 && index === 0) || held + bytes <= this.#maxBytes
  }

  async #waitForRoom(seen: number): Promise<void> {
    const before = this.#opened.segments.bytes
    try {
      await this.#opened.segments.removeDead(true)
    } catch (cause) {
      return this.#block(cause)
    }
    if (this.#opened.segments.bytes < before) return
    this.#setState({ is: 'full' })
    await this.#changed.waitBeyond(seen, retryMs, this.#world.clock, this.#closing.signal)
  }

  async #store(group: readonly Waiting[]): Promise<void> {
    const sealed = this.#seal(group, await this.#timeLabel())
    const extents = await this.#writeSegment(sealed)
    if (!extents) return
    if (!(await this.#writeIndex(() => this.#writesOf(group, sealed, extents), group))) return
    this.#world.journal.indexWritten(sealed.length)
    this.#count(group, sealed)
    this.#waiting.splice(0, group.length)
    this.#setState({ is: 'open' })
    this.#changed.ring()
    for (const { taken } of group) taken(true)
  }

  async #timeLabel(): Promise<RecordTime> {
    const { clock } = this.#world
    const clockState = await clock.wallState()
    const monotonicMs = Math.floor(clock.monotonicMs())
    return { wallMs: clock.wallMs(), monotonicMs, bootId: clock.bootId, clockState }
  }

  #seal(group: readonly Waiting[], time: RecordTime): Sealed[] {
    let head = this.#head
    return group.map(({ arrival }) => {
      const record = sealArrival(arrival, head, time, this.#signer)
      head = record.head
      return record
    })
  }

  async #writeSegment(sealed: readonly Sealed[]): Promise<readonly Extent[] | undefined> {
    const { segments } = this.#opened
    try {
      const extents = await segments.append(sealed.map(({ bytes }) => bytes))
      this.#world.journal.segmentWritten(sealed.length)
      await segments.sync(extents)
      this.#world.journal.segmentSynced()
      return extents
    } catch (cause) {
      // Each failure leaves a segment behind: on a full disk they would become many.
      await segments.removeDead(false).catch(() => undefined)
      await this.#block(cause)
      return undefined
    }
  }

  /**
   * A write that failed may have happened all the same, so the very same one is tried until it succeeds: then it does not
   * matter which of them did. False when the queue is closed, or nobody waits for it any more.
   */
  async #writeIndex(
    writes: () => Promise<readonly IndexWrite[]>,
    group: readonly Waiting[],
  ): Promise<boolean> {
    while (!this.#closing.signal.aborted && !group.every(({ signal }) => signal.aborted)) {
      try {
        await this.#opened.index.write(await writes())
        return true
      } catch (cause) {
        await this.#block(cause)
      }
    }
    return false
  }

  async #block(cause: unknown): Promise<void> {
    this.#setState({ is: 'blocked', why: sayCause(cause) })
    await this.#world.clock.sleep(retryMs, this.#closing.signal)
  }

  #setState(state: QueueState): void {
    const { journal } = this.#world
    if (isDeepStrictEqual(state, this.#state)) return
    if (state.is === 'open') journal.queueOpen()
    else journal.queueBlocked(state.is === 'full' ? 'the queue is full' : state.why)
    this.#state = state
    this.#changed.ring()
  }

  #count(group: readonly Waiting[], sealed: readonly Sealed[]): void {
    const { resumePoints, ledger } = this.#opened
    for (const [stream, point] of pointsOf(group)) {
      if (point) resumePoints.set(stream, point)
      else resumePoints.delete(stream)
    }
    for (const { manifest, bytes, head } of sealed) {
      const { stream } = manifest
      ledger.queued(stream, contentBytes(manifest), bytes.length)
      if (manifest.kind === 'loss') ledger.setLost(stream, ledger.lostBytes(stream) + (manifest.length ?? 0))
      this.#head = head
    }
  }

  async #writesOf(
    group: readonly Waiting[],
    sealed: readonly Sealed[],
    extents: readonly Extent[],
  ): Promise<IndexWrite[]> {
    const head = sealed.at(-1)?.head
    return [
      ...entriesOf(sealed, extents).map((entry) => put(recordKey(entry), encodeEntry(entry))),
      ...shippedWrites(group, sealed),
      ...this.#lostWrites(sealed),
      ...(await this.#pointWrites(group)),
      ...(head ? [put(keys.head, encodeHead(head))] : []),
    ]
  }

  #lostWrites(sealed: readonly Sealed[]): IndexWrite[] {
    const lost = new Map<StreamId, number>()
    for (const { manifest } of sealed) {
      if (manifest.kind !== 'loss') continue
      const before = lost.get(manifest.stream) ?? this.#opened.ledger.lostBytes(manifest.stream)
      lost.set(manifest.stream, before + (manifest.length ?? 0))
    }
    return [...lost].map(([stream, bytes]) => put(lostKey(stream), String(bytes)))
  }

  async #pointWrites(group: readonly Waiting[]): Promise<IndexWrite[]> {
    const writes: IndexWrite[] = []
    for (const [stream, point] of pointsOf(group)) {
      if (point) writes.push(put(resumeKey(stream), encodeResumePoint(point)))
      else writes.push(del(resumeKey(stream)), ...(await forgetShipped(this.#opened.index, stream)))
    }
    return writes
  }
}

/** Of each stream the last resume point counts. */
function pointsOf(group: readonly Waiting[]): ReadonlyMap<StreamId, ResumePoint | null> {
  return new Map(group.map(({ arrival }) => [arrival.label.stream, arrival.resume]))
}

/** Of streams that go on. */
function shippedWrites(group: readonly Waiting[], sealed: readonly Sealed[]): IndexWrite[] {
  const points = pointsOf(group)
  return sealed.flatMap(({ manifest }) =>
    manifest.kind === 'data' && points.get(manifest.stream) ? [shippedWrite(manifest)] : [],
  )
}

/** Of the log's bytes in the record. */
function contentBytes(manifest: Manifest): number {
  return manifest.kind === 'data' ? manifest.length : 0
}

function entriesOf(sealed: readonly Sealed[], extents: readonly Extent[]): IndexEntry[] {
  return extents.flatMap((extent, index) => {
    const record = sealed[index]
    if (!record) return []
    const { epoch, seq, stream } = record.manifest
    const length = contentBytes(record.manifest)
    return [{ epoch, seq, stream, length, digest: record.digest, extent }]
  })
}
