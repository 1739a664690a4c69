import { limits } from '../../protocol/contract.ts'
import { showSize } from '../units.ts'
import type { World } from '../world.ts'
import type { Arrival } from './arrival.ts'
import type { Lane } from './lane.ts'
import type { OpenedQueue, QueueOptions } from './open-queue.ts'

/** Of a record that lost its body, what stays in the index; it counts against the queue's bound. */
const envelopeBytes = 1024
/** Others fill the disk, too: what it has free is asked for again. */
const askAgainMs = 1000

/** Gives up bodies of the oldest records of a lane, the lowest first, down to this one; false where there are none. */
export type Evict = (atMost: Lane) => Promise<boolean>

/** How much more the queue may hold: within its bound, and above the floor of what stays free on the disk, beside its reserve. */
export class Room {
  readonly #opened: OpenedQueue
  readonly #options: QueueOptions
  readonly #world: World
  readonly #evict: Evict
  #freeBytes = Infinity
  #askedMs = -Infinity
  /** Bytes given up for the floor that nothing has taken the place of yet: the queue may turn over, and not grow. */
  #credit = 0

  constructor(opened: OpenedQueue, options: QueueOptions, world: World, evict: Evict) {
    this.#opened = opened
    this.#options = options
    this.#world = world
    this.#evict = evict
  }

  /** A record larger than the bound passes when it is alone, or nothing would ever move again. */
  fits(bytes: number, isFirst: boolean): boolean {
    const { segments, ledger } = this.#opened
    const held = segments.bytes + ledger.evictedRecords * envelopeBytes
    return (held === 0 && isFirst) || held + bytes <= this.#options.maxBytes
  }

  /** Makes room in the queue for what comes next; false where only receipts can. */
  async make(arrival: Arrival, noteHead: () => Promise<void>, mayEvict = true): Promise<boolean> {
    const { segments } = this.#opened
    const before = segments.bytes
    await segments.removeAllDead(noteHead)
    if (segments.bytes < before) return true
    if (this.#options.whenFull !== 'evict' || !mayEvict || !(await this.#evict(arrival.lane))) return false
    await segments.removeAllDead(noteHead)
    return segments.bytes < before
  }

  /**
   * Why this much more would leave too little free on the disk; undefined where it does not. The room of the reserve is not
   * counted as free while that is missing, and where it is time it is made. Throws where the disk refuses that.
   */
  async tooLittleFree(bytes: number): Promise<string | undefined> {
    const { minFree = 0 } = this.#options
    const { reserve } = this.#opened
    const { missingBytes } = reserve
    if (minFree === 0 && missingBytes === 0) return undefined
    // What it had may be somebody else's by now.
    if (missingBytes > 0) this.#askedMs = -Infinity
    const needed = missingBytes + bytes
    const above = (await this.#free()) - needed - minFree
    if (this.#credit < needed && above < 0) return whyTooLittle(minFree, missingBytes)
    if (reserve.isDue(above)) await this.#makeReserve(missingBytes)
    return undefined
  }

  async #makeReserve(bytes: number): Promise<void> {
    await this.#opened.reserve.make()
    this.taken(bytes)
  }

  /** Frees as much as this takes, so that the disk gets no fuller; false where that cannot be. */
  async makeFree(arrival: Arrival, noteHead: () => Promise<void>): Promise<boolean> {
    const { segments, reserve } = this.#opened
    this.#askedMs = -Infinity
    const before = segments.bytes
    // Giving up all that there is would do no good where the reserve needs more.
    const mayEvict = this.#credit + before >= reserve.missingBytes
    const isMade = await this.make(arrival, noteHead, mayEvict)
    this.#credit += before - segments.bytes
    return isMade
  }

  /** So much was written. */
  taken(bytes: number): void {
    this.#freeBytes -= bytes
    this.#credit = Math.max(0, this.#credit - bytes)
  }

  async #free(): Promise<number> {
    const nowMs = this.#world.clock.monotonicMs()
    if (nowMs - this.#askedMs < askAgainMs) return this.#freeBytes
    this.#freeBytes = await this.#world.files.freeBytes(this.#options.stateDirectory)
    this.#askedMs = nowMs
    return this.#freeBytes
  }
}

function whyTooLittle(minFree: number, missingBytes: number): string {
  const floor = showSize(minFree + missingBytes)
  const reserve = missingBytes === 0 ? '' : ` and ${showSize(missingBytes)} for the index`
  return `less than ${floor} would stay free on the disk (queue.minFree${reserve})`
}

/** What the record of an arrival takes, at most. */
export function sizeOfRecord(arrival: Arrival): number {
  return (arrival.kind === 'data' ? arrival.body.body.length : 0) + limits.maxRecordOverheadBytes
}
