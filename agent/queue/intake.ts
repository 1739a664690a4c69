import { isDeepStrictEqual } from 'node:util'
import type { ChainHead } from '../../protocol/chain.ts'
import { limits } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { RecordTime } from '../../protocol/manifest.ts'
import type { Doorbell } from '../doorbell.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { sealArrival, type Arrival } from './arrival.ts'
import { noteHighWater } from './high-water.ts'
import type { OpenedQueue, QueueOptions } from './open-queue.ts'
import type { QueueState } from './queue-state.ts'
import { countIn, indexWrites, storedAt, Tally } from './stored-arrivals.ts'
import type { SealedArrival, StoredArrival } from './stored-arrivals.ts'

type Bounds = Pick<QueueOptions, 'stateDirectory' | 'maxBytes'>

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
  readonly #stateDirectory: string
  readonly #signer: Signer
  readonly #world: World
  readonly #changed: Doorbell
  readonly #closing = new AbortController()
  #waiting: Waiting[] = []
  #head: ChainHead
  #state: QueueState = { is: 'open' }
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false
  readonly #tally: Tally

  constructor(opened: OpenedQueue, bounds: Bounds, signer: Signer, world: World, changed: Doorbell) {
    this.#opened = opened
    this.#maxBytes = bounds.maxBytes
    this.#stateDirectory = bounds.stateDirectory
    this.#signer = signer
    this.#world = world
    this.#changed = changed
    this.#head = opened.head
    this.#tally = new Tally(opened.ledger.records)
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
      await this.#opened.segments.removeAllDead(() =>
        noteHighWater(this.#stateDirectory, this.#head, this.#world.files),
      )
    } catch (cause) {
      return this.#block(cause)
    }
    if (this.#opened.segments.bytes < before) return
    this.#setState({ is: 'full' })
    await this.#changed.waitBeyond(seen, retryMs, this.#world.clock, this.#closing.signal)
  }

  async #store(group: readonly Waiting[]): Promise<void> {
    const sealed = this.#seal(group, await this.#timeLabel())
    const stored = await this.#writeSegments(sealed)
    if (!stored || !(await this.#writeIndex(stored, group))) return
    this.#world.journal.indexWritten(stored.length)
    this.#head = sealed.at(-1)?.record.head ?? this.#head
    this.#tally.count(stored)
    countIn(stored, this.#opened)
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

  #seal(group: readonly Waiting[], time: RecordTime): SealedArrival[] {
    let head = this.#head
    return group.map(({ arrival }) => {
      const record = sealArrival(arrival, head, time, this.#signer)
      head = record.head
      return { arrival, record }
    })
  }

  async #writeSegments(sealed: readonly SealedArrival[]): Promise<readonly StoredArrival[] | undefined> {
    const { segments } = this.#opened
    const { journal } = this.#world
    try {
      const records = sealed.map(({ arrival: { lane }, record: { bytes } }) => ({ lane, bytes }))
      const extents = await segments.append(records)
      journal.segmentWritten(sealed.length)
      await segments.sync(extents)
      journal.segmentSynced()
      return extents.flatMap((extent, index) =>
        sealed.slice(index, index + 1).map((one) => storedAt(one, extent)),
      )
    } catch (cause) {
      // Each failure leaves a segment behind: on a full disk they would become many.
      await segments.removeDead().catch(() => undefined)
      await this.#block(cause)
      return undefined
    }
  }

  /**
   * A write that failed may have happened all the same, so the very same one is tried until it succeeds: then it does not
   * matter which of them did. False when the queue is closed, or nobody waits for it any more.
   */
  async #writeIndex(stored: readonly StoredArrival[], group: readonly Waiting[]): Promise<boolean> {
    while (!this.#closing.signal.aborted && !group.every(({ signal }) => signal.aborted)) {
      try {
        const writes = [...this.#tally.writes(stored), ...(await indexWrites(stored, this.#opened))]
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
}
