import { isDeepStrictEqual } from 'node:util'
import type { EncodedBody } from '../../protocol/body.ts'
import type { ChainHead } from '../../protocol/chain.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import { limits } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { ByteOffset, StreamId } from '../../protocol/ids.ts'
import type { DataManifest, RecordTime } from '../../protocol/manifest.ts'
import { sealChunk, type SealedRecord } from '../../protocol/seal.ts'
import type { QueueState } from './queue-state.ts'
import type { Doorbell } from '../doorbell.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { encodeEntry, encodeHead, keys, recordKey, resumeKey, type IndexEntry } from './index-entry.ts'
import { put, type IndexWrite } from './index-store.ts'
import type { OpenedQueue } from './open-queue.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import type { Extent } from './segment-log.ts'

/** A chunk that is ready to be sealed, and from where its file is to be read on once it is safe. */
export interface Arrival {
  readonly label: StreamLabel
  readonly offset: ByteOffset
  readonly body: EncodedBody
  readonly resume: ResumePoint
}

type Sealed = SealedRecord<DataManifest>

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
      bytes += arrival.body.body.length + limits.maxRecordOverheadBytes
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
    if (!(await this.#writeIndex(writesOf(group, sealed, extents), group))) return
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
    return group.map(({ arrival: { label, offset, body } }) => {
      const record = sealChunk(label, offset, body, head, time, this.#signer)
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
  async #writeIndex(writes: readonly IndexWrite[], group: readonly Waiting[]): Promise<boolean> {
    while (!this.#closing.signal.aborted && !group.every(({ signal }) => signal.aborted)) {
      try {
        await this.#opened.index.write(writes)
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
    for (const { arrival } of group) this.#opened.resumePoints.set(arrival.label.stream, arrival.resume)
    for (const { manifest, bytes, head } of sealed) {
      this.#opened.ledger.queued(manifest.stream, manifest.length, bytes.length)
      this.#head = head
    }
  }
}

function writesOf(
  group: readonly Waiting[],
  sealed: readonly Sealed[],
  extents: readonly Extent[],
): IndexWrite[] {
  // Of each stream the last resume point counts.
  const points = new Map<StreamId, ResumePoint>(
    group.map(({ arrival }) => [arrival.label.stream, arrival.resume]),
  )
  const head = sealed.at(-1)?.head
  return [
    ...entriesOf(sealed, extents).map((entry) => put(recordKey(entry), encodeEntry(entry))),
    ...[...points.values()].map((point) => put(resumeKey(point.stream), encodeResumePoint(point))),
    ...(head ? [put(keys.head, encodeHead(head))] : []),
  ]
}

function entriesOf(sealed: readonly Sealed[], extents: readonly Extent[]): IndexEntry[] {
  return extents.flatMap((extent, index) => {
    const record = sealed[index]
    if (!record) return []
    const { epoch, seq, stream, length } = record.manifest
    return [{ epoch, seq, stream, length, digest: record.digest, extent }]
  })
}
