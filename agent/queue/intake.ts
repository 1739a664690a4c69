import { isDeepStrictEqual } from 'node:util'
import type { ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { Epoch } from '../../protocol/ids.ts'
import type { Doorbell } from '../doorbell.ts'
import { letGo } from '../let-go.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import type { Arrival } from './arrival.ts'
import { noteHighWater } from './high-water.ts'
import { endOf, recordKey, type Place } from './index-entry.ts'
import type { Lane } from './lane.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { Replacement } from './outflow.ts'
import type { QueueState } from './queue-state.ts'
import { sizeOfRecord, type Room } from './room.ts'
import { sealGroup } from './seal-group.ts'
import type { SeenSizes } from './seen-sizes.ts'
import { restartChain, startChain, type ChainParts } from './start-chain.ts'
import { countIn, indexWrites, storedAt, Tally } from './stored-arrivals.ts'
import type { SealedArrival, StoredArrival } from './stored-arrivals.ts'
import { WaitingLine, type Waiting } from './waiting-line.ts'

export interface IntakeParts {
  readonly room: Room
  readonly stateDirectory: string
  readonly signer: Signer
  readonly world: World
  readonly changed: Doorbell
  readonly seen: SeenSizes
  readonly replacement: Replacement
  /** Told of each record that is in the index. */
  readonly tookIn: (lane: Lane) => void
}

/** Between tries at a disk that refuses, and the longest wait for room that nobody announces. */
const retryMs = 1000

/**
 * The queue's way in. Chunks are sealed in the order in which they come and stored in groups: the segment first, synced,
 * then index entries, resume points and chain head in one synced write, all or none.
 */
export class Intake {
  readonly #opened: OpenedQueue
  readonly #room: Room
  readonly #stateDirectory: string
  readonly #chain: ChainParts
  readonly #signer: Signer
  readonly #world: World
  readonly #changed: Doorbell
  readonly #seen: SeenSizes
  readonly #replacement: Replacement
  readonly #tookIn: IntakeParts['tookIn']
  readonly #closing = new AbortController()
  readonly #line = new WaitingLine()
  readonly #between: (() => Promise<void>)[] = []
  #head: ChainHead
  #left: Epoch | undefined
  #anewTo: Place | undefined
  #state: QueueState = { is: 'open' }
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false
  readonly #tally: Tally

  constructor(opened: OpenedQueue, parts: IntakeParts) {
    const { room, stateDirectory, signer, world, changed, seen, replacement, tookIn } = parts
    this.#opened = opened
    this.#room = room
    this.#stateDirectory = stateDirectory
    this.#chain = { device: opened.head.device, index: opened.index, stateDirectory, signer, world }
    this.#signer = signer
    this.#world = world
    this.#changed = changed
    this.#seen = seen
    this.#replacement = replacement
    this.#tookIn = tookIn
    this.#head = opened.head
    this.#tally = new Tally(opened.ledger.records)
  }

  /** Where the chain ends, as it stands on the disk. */
  get head(): ChainHead {
    return this.#head
  }

  /** Where it ended when something was last sealed anew, or `noteAnew` was called. */
  get anewTo(): Place | undefined {
    return this.#anewTo
  }

  /** What takes the place of an older record stands before the chain's end. */
  noteAnew(): void {
    this.#anewTo = endOf(this.#head)
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
      this.#line.join({ arrival, signal, taken })
      if (!this.#isWriting) this.#writing = this.#writeWaiting()
      else if (arrival.anew) wake()
    })
  }

  /** Does this while nothing is being stored: what is anew and arrives meanwhile comes next. Throws what it throws. */
  between<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#between.push(() => work().then(resolve, reject))
      this.#changed.ring()
      if (!this.#isWriting) this.#writing = this.#writeWaiting()
    })
  }

  /** As Queue.outdo. What arrives meanwhile is sealed in the chain that is current then. */
  async outdo(wallMs: number): Promise<void> {
    if (this.#isWriting) return
    this.#isWriting = true
    try {
      this.#head = (await restartChain(this.#chain, this.#head, wallMs)) ?? this.#head
    } finally {
      this.#writing = this.#writeWaiting()
    }
  }

  /** Nothing more is sealed in this chain, where it is the one that goes on: the next record begins another. */
  leave(epoch: Epoch): void {
    if (epoch === this.#head.epoch) this.#left = epoch
  }

  /** Gives up what could not be stored: its bytes are still in their files. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#changed.ring()
    await this.#writing
  }

  async #writeWaiting(): Promise<void> {
    this.#isWriting = true
    while (this.#line.first || this.#between.length > 0) {
      const seen = this.#changed.rings
      for (const work of this.#between.splice(0)) await work()
      this.#giveUpStopped()
      // Nothing of it is being stored now, so no record's resume point can come in between.
      if (this.#state.is !== 'open') await this.#seen.store()
      const group = this.#line.nextGroup(this.#room)
      const { first } = this.#line
      if (group.length > 0) await this.#storeAboveFloor(group, seen)
      else if (first) await this.#waitForRoom(first.arrival, seen)
    }
    // In the same tick as the look at what waits: what comes later starts anew.
    this.#isWriting = false
  }

  #giveUpStopped(): void {
    const stopped = this.#line.stopped(this.#closing.signal.aborted)
    this.#line.leave(stopped)
    for (const { taken } of stopped) taken(false)
  }

  async #waitForRoom(arrival: Arrival, seen: number): Promise<void> {
    try {
      if (await this.#room.make(arrival, () => this.#noteHead())) return
    } catch (cause) {
      return this.#block(cause)
    }
    this.#setState({ is: 'full' })
    await this.#changed.waitBeyond(seen, retryMs, this.#world.clock, this.#closing.signal)
  }

  async #storeAboveFloor(group: readonly Waiting[], seen: number): Promise<void> {
    const bytes = group.reduce((sum, { arrival }) => sum + sizeOfRecord(arrival), 0)
    try {
      const why = await this.#room.tooLittleFree(bytes)
      if (why !== undefined) return await this.#waitForDisk(group, why, seen)
      if (this.#left === this.#head.epoch)
        this.#head = await startChain(this.#chain, { newestFound: this.#head.epoch })
    } catch (cause) {
      return this.#block(cause)
    }
    await this.#store(group)
  }

  async #waitForDisk([first]: readonly Waiting[], why: string, seen: number): Promise<void> {
    if (first && (await this.#room.makeFree(first.arrival, () => this.#noteHead()))) return
    this.#setState({ is: 'blocked', why })
    await this.#changed.waitBeyond(seen, retryMs, this.#world.clock, this.#closing.signal)
  }

  #noteHead(): Promise<void> {
    return noteHighWater(this.#stateDirectory, this.#head, this.#world.files)
  }

  async #store(group: readonly Waiting[]): Promise<void> {
    const arrivals = group.map(({ arrival }) => arrival)
    const sealed = await sealGroup(arrivals, this.#head, this.#signer, this.#world.clock)
    const stored = await this.#writeSegments(sealed)
    if (!stored) return
    // Nobody knows whether their places in the chain are taken: the next start finds out.
    if (!(await this.#writeIndex(stored, group))) return this.#closing.abort()
    this.#line.leave(group)
    this.#setState({ is: 'open' })
    this.#changed.ring()
    for (const { taken } of group) taken(true)
  }

  /** Has memory say what the index says. */
  #settle(stored: readonly StoredArrival[]): void {
    this.#world.journal.indexWritten(stored.length)
    this.#head = stored.at(-1)?.record.head ?? this.#head
    if (stored.some(({ arrival }) => arrival.anew)) this.noteAnew()
    this.#tally.count(stored)
    countIn(stored, this.#opened)
    for (const { arrival, record } of stored) {
      this.#room.taken(record.bytes.length)
      this.#tookIn(arrival.lane)
      letGo(record.bytes)
    }
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
        await this.#takeIn(stored)
        return true
      } catch (cause) {
        await this.#block(cause)
      }
    }
    return false
  }

  async #takeIn(stored: readonly StoredArrival[]): Promise<void> {
    const { index } = this.#opened
    const writes = [...this.#tally.writes(stored), ...(await indexWrites(stored, this.#opened))]
    const settle = (): void => this.#settle(stored)
    const replaced = stored.flatMap(({ arrival }) => arrival.anew?.replaces ?? [])
    if (replaced.length > 0) {
      const streams = new Set(replaced.map(({ stream }) => stream))
      const coming = { writes, streams, happened: () => this.#areIn(stored), settle }
      return this.#replacement.replace(replaced, coming, endOf(this.#head))
    }
    await index.write(writes)
    settle()
  }

  /** One of them is in if they all are; what memory says is in may have its receipt by now. */
  async #areIn(stored: readonly StoredArrival[]): Promise<boolean> {
    const [first] = stored
    if (stored.at(-1)?.record.head === this.#head) return true
    return first !== undefined && (await this.#opened.index.get(recordKey(first.entry))) !== undefined
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
