import type { Journal } from '../journal.ts'
import type { DoubtfulWrites } from './doubtful-writes.ts'
import {
  asideKey,
  decodeAside,
  decodeEntry,
  encodeAside,
  encodeEntry,
  lanePrefixes,
  recordKey,
  type AsideEntry,
  type IndexEntry,
} from './index-entry.ts'
import { put, type IndexWrite } from './index-store.ts'
import type { LaneView } from './lane-view.ts'
import { lanes, type Lane } from './lane.ts'
import { changesByEviction } from './ledger.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { RecordReader } from './record-reader.ts'
import { countChanges, countWrites } from './settlement.ts'
import { waitingEntries } from './waiting-entries.ts'

export interface EvictionParts {
  readonly opened: OpenedQueue
  readonly writes: DoubtfulWrites
  readonly views: Readonly<Record<Lane, LaneView>>
  readonly reader: RecordReader
  readonly journal: Journal
  /** The segments from which batches are handed out. */
  readonly busy: () => ReadonlySet<number>
}

/** What a segment holds that the index still needs. */
interface Victims {
  readonly waiting: readonly IndexEntry[]
  readonly aside: readonly AsideEntry[]
}

/**
 * Gives up bodies for room, by whole segments: the oldest of the lowest lane first. The signed envelopes stay in the index
 * and are delivered, so what was lost is known to the byte.
 */
export class Eviction {
  readonly #parts: EvictionParts

  constructor(parts: EvictionParts) {
    this.#parts = parts
  }

  /** Never of a lane above `atMost`: what comes is not worth more than what is there. False where nothing can be given up. */
  evict(atMost: Lane): Promise<boolean> {
    return this.#parts.writes.take(async () => {
      for (const lane of lanes.slice(lanes.indexOf(atMost)).toReversed()) {
        for (const segment of this.#candidates(lane)) {
          const victims = await this.#completed(await this.#victimsIn(segment, lane))
          if (victims) return this.#giveUp(segment, lane, victims)
        }
      }
      return false
    })
  }

  #candidates(lane: Lane): number[] {
    const { opened, busy } = this.#parts
    const taken = busy()
    return opened.segments.segments.filter((segment) => {
      const isFree = opened.segments.isLive(segment) && !taken.has(segment)
      return isFree && opened.segments.laneOf(segment) === lane
    })
  }

  async #victimsIn(segment: number, lane: Lane): Promise<Victims> {
    const { opened, views } = this.#parts
    const waiting: IndexEntry[] = []
    for await (const entry of waitingEntries(
      opened.index,
      views[lane].oldest,
      `${lanePrefixes[lane]}\uffff`,
    )) {
      if (entry.extent?.segment === segment) waiting.push(entry)
      else if (waiting.length > 0 && entry.extent) break
    }
    return { waiting, aside: await opened.aside.inSegment(segment, opened.index) }
  }

  /** Entries of an older agent get their envelopes from the segment; undefined where there is nothing to give up. */
  async #completed({ waiting, aside }: Victims): Promise<Victims | undefined> {
    const { reader } = this.#parts
    const complete = async <E extends IndexEntry>(entry: E): Promise<E> => ({
      ...entry,
      envelope: entry.envelope ?? (await reader.envelopeOf(entry)),
    })
    const victims = {
      waiting: await Promise.all(waiting.map(complete)),
      aside: await Promise.all(aside.map(complete)),
    }
    const all = [...victims.waiting, ...victims.aside]
    return all.length > 0 && all.every(({ envelope }) => envelope !== undefined) ? victims : undefined
  }

  async #giveUp(segment: number, lane: Lane, { waiting, aside }: Victims): Promise<true> {
    const { opened, writes } = this.#parts
    const changes = changesByEviction([...waiting, ...aside])
    const changed: IndexWrite[] = [
      ...waiting.map((entry) => put(recordKey(entry), encodeEntry({ ...entry, extent: null }))),
      ...aside.map((entry) => put(asideKey(entry), encodeAside({ ...entry, extent: null }))),
      ...(await countWrites(changes, opened)),
    ]
    const settle = (): void => {
      countChanges(changes, opened)
      this.#noteEvicted(segment, lane, { waiting, aside })
    }
    await writes.write(changed, { happened: () => this.#isEvicted({ waiting, aside }), settle })
    return true
  }

  async #isEvicted({ waiting: [first], aside: [other] }: Victims): Promise<boolean> {
    const { index } = this.#parts.opened
    if (first)
      return decodeEntry(recordKey(first), (await index.get(recordKey(first))) ?? '')?.extent === null
    return other
      ? decodeAside(asideKey(other), (await index.get(asideKey(other))) ?? '')?.extent === null
      : false
  }

  #noteEvicted(segment: number, lane: Lane, { waiting, aside }: Victims): void {
    const { opened, journal } = this.#parts
    for (const _ of [...waiting, ...aside]) opened.segments.release(segment)
    const bytes = [...waiting, ...aside].reduce((sum, { length }) => sum + length, 0)
    journal.bodiesEvicted(lane, waiting.length + aside.length, bytes)
  }
}
