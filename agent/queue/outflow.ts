import type { StreamId } from '../../protocol/ids.ts'
import type { Doorbell } from '../doorbell.ts'
import type { Journal } from '../journal.ts'
import type { Batch } from './batch.ts'
import { Batches } from './batches.ts'
import { DoubtfulWrites, type Doubt } from './doubtful-writes.ts'
import { Eviction } from './eviction.ts'
import {
  asideKey,
  decodeEntry,
  encodeAside,
  keys,
  laneKey,
  placeText,
  recordKey,
  type AsideEntry,
  type IndexEntry,
  type Place,
} from './index-entry.ts'
import { del, put, type IndexWrite } from './index-store.ts'
import { lastReceiptedWrite } from './notes.ts'
import { keyBehind, LaneView } from './lane-view.ts'
import { lanes, type Lane } from './lane.ts'
import { changesByReceipt, changesByReplacement, type Change } from './ledger.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { RecordReader } from './record-reader.ts'
import { countChanges, countWrites, markWrites } from './settlement.ts'
import { firstWaiting, waitingEntries } from './waiting-entries.ts'

/** What an index write takes in. */
export interface Coming extends Doubt {
  readonly writes: readonly IndexWrite[]
  readonly streams: ReadonlySet<StreamId>
}

/** What takes the place of records in the index. */
export interface Replacement {
  /**
   * Forgets records with the very write that takes what they held in anew: both or neither. Does nothing where a call that failed
   * has done it all the same. `end` is the place of the first that comes.
   */
  replace(entries: readonly IndexEntry[], coming: Coming, end: Place): Promise<void>
}

/** The queue's way out: what is to be sent next, and what becomes of it. One call is done before the next begins. */
export class Outflow implements Replacement {
  readonly #opened: OpenedQueue
  readonly #journal: Journal
  readonly #changed: Doorbell
  readonly #writes: DoubtfulWrites
  readonly #views: Record<Lane, LaneView>
  readonly #eviction: Eviction
  readonly #batches: Batches
  /** How many records were taken out of the index since it was opened. */
  #removed = 0

  constructor(opened: OpenedQueue, reader: RecordReader, journal: Journal, changed: Doorbell) {
    this.#opened = opened
    this.#journal = journal
    this.#changed = changed
    this.#writes = new DoubtfulWrites(opened.index)
    this.#views = { high: new LaneView('high'), normal: new LaneView('normal'), low: new LaneView('low') }
    const onDamaged = (entry: IndexEntry, why: string): Promise<void> => this.#setAside([{ ...entry, why }])
    this.#batches = new Batches({ index: opened.index, reader, onDamaged })
    const busy = (): ReadonlySet<number> => this.#batches.segments
    this.#eviction = new Eviction({ opened, writes: this.#writes, views: this.#views, reader, journal, busy })
  }

  view(lane: Lane): Pick<LaneView, 'stir'> {
    return this.#views[lane]
  }

  /** As Queue.take; `end` is the place that the chain has not reached yet. */
  take(
    maxBytes: number,
    maxRecords: number,
    end: () => Place,
    from: readonly Lane[],
  ): Promise<Batch | undefined> {
    return this.#writes.take(async () => {
      for (const lane of from) {
        const view = this.#views[lane]
        const batch = await this.#batches.take(view, () => view.inTurn(end()), maxBytes, maxRecords)
        if (batch) return batch
      }
      return undefined
    })
  }

  /** As Queue.takePassedOver. */
  async takePassedOver(maxBytes: number, maxRecords: number, isInTurn: boolean): Promise<Batch | undefined> {
    const passing = lanes.map((lane) => this.#views[lane]).filter(({ isAnyPassedOver }) => isAnyPassedOver)
    if (passing.length === 0) return undefined
    return this.#writes.take(async () => {
      const next = await this.#takeAgain(passing, maxBytes, maxRecords)
      if (next || !isInTurn) return next
      for (const view of passing) view.rewind()
      const first = await this.#takeAgain(passing, maxBytes, maxRecords)
      if (!first) for (const view of passing) view.forgetPassedOver()
      return first
    })
  }

  async #takeAgain(
    views: readonly LaneView[],
    maxBytes: number,
    maxRecords: number,
  ): Promise<Batch | undefined> {
    for (const view of views) {
      const batch = await this.#batches.take(view, () => view.passedOver, maxBytes, maxRecords)
      if (batch) return batch
    }
    return undefined
  }

  /** As Queue.rewindPassedOver. */
  rewindPassedOver(): void {
    for (const lane of lanes) this.#views[lane].rewind()
  }

  /** As Queue.passOver. */
  passOver(entries: readonly IndexEntry[], untried: number, end: () => Place): Promise<void> {
    return this.#writes.take(async () => {
      const last = entries.at(-1)
      if (!last) return
      const view = this.#views[last.lane]
      const isFree = untried > 0 && view.isLast(last)
      view.passOver(entries, isFree ? await this.#behind(last, untried, end()) : keyBehind(last))
    })
  }

  /** What comes so many records behind this one, but nothing behind the newest of all. */
  async #behind(entry: IndexEntry, records: number, end: Place): Promise<string> {
    let passed = entry
    let last = entry
    let count = 0
    for await (const next of waitingEntries(this.#opened.index, keyBehind(entry), laneKey(entry.lane, end))) {
      passed = last
      last = next
      if (count++ === records) break
    }
    return keyBehind(passed)
  }

  /** As Queue.takeBackUntried. */
  takeBackUntried(): void {
    for (const lane of lanes) this.#views[lane].takeBackUntried()
    this.#changed.ring()
  }

  /** As Queue.giveBack. */
  giveBack(batch: Batch): void {
    if (!this.#batches.release(batch)) return
    this.#views[batch.lane].takeBack(batch.entries)
    this.#changed.ring()
  }

  /** Hands out what waited for files to be looked for. */
  looked(): Promise<void> {
    return this.#writes.take(async () => {
      const awaited = this.#batches.releaseAwaited()
      for (const lane of lanes) this.#views[lane].takeBack(awaited.filter((entry) => entry.lane === lane))
      this.#changed.ring()
    })
  }

  /** As Queue.forget. */
  forget(
    received: readonly IndexEntry[],
    withoutBody: readonly IndexEntry[],
    end: () => Place,
  ): Promise<void> {
    return this.#writes.take(async () => {
      const changes = changesByReceipt(received, withoutBody)
      const entries = [...received, ...withoutBody]
      const writes = [
        ...(await countWrites(changes, this.#opened)),
        ...(await this.#leavingWrites(entries, end())),
        ...received.slice(-1).map(lastReceiptedWrite),
      ]
      const settle = (): void => this.#countForgotten(entries, changes)
      await this.#writes.write(writes, { happened: () => this.#areGone(entries), settle })
      await this.#removeDead()
    })
  }

  /** As Replacement.replace. */
  replace(entries: readonly IndexEntry[], coming: Coming, end: Place): Promise<void> {
    return this.#writes.take(async () => {
      if (await coming.happened()) return
      // Meanwhile one may have been evicted, or have its receipt.
      const left = await this.#present(entries)
      const changes = changesByReplacement(left)
      const writes = [
        ...(await countWrites(changes, this.#opened, coming.streams)),
        ...(await this.#leavingWrites(left, end)),
        ...coming.writes,
      ]
      const settle = (): void => {
        coming.settle()
        this.#countForgotten(left, changes)
      }
      await this.#writes.write(writes, { happened: coming.happened, settle })
      await this.#removeDead()
    })
  }

  /** Forgets a record of which all that it held is in later ones. */
  drop(entry: IndexEntry, end: Place): Promise<void> {
    const happened = (): Promise<boolean> => this.#areGone([entry])
    return this.replace([entry], { writes: [], streams: new Set(), happened, settle: () => undefined }, end)
  }

  async #leavingWrites(entries: readonly IndexEntry[], end: Place): Promise<IndexWrite[]> {
    return [
      ...entries.map((entry) => del(recordKey(entry))),
      ...(await markWrites(entries, this.#views, end, this.#opened.index)),
      put(keys.removed, String(this.#removed + entries.length)),
    ]
  }

  /** As they are in the index now. */
  async #present(entries: readonly IndexEntry[]): Promise<IndexEntry[]> {
    const present: IndexEntry[] = []
    for (const entry of entries) {
      const now = decodeEntry(recordKey(entry), (await this.#opened.index.get(recordKey(entry))) ?? '')
      if (now) present.push(now)
    }
    return present
  }

  /** Does this when nothing is being forgotten. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#writes.take(work)
  }

  /** Who waits for room looked when the records were counted out, and perhaps before their segments were gone. */
  async #removeDead(): Promise<void> {
    const { segments } = this.#opened
    const before = segments.bytes
    await segments.removeDead()
    if (segments.bytes < before) this.#changed.ring()
  }

  #countForgotten(entries: readonly IndexEntry[], changes: ReadonlyMap<StreamId, Change>): void {
    const { segments } = this.#opened
    this.#removed += entries.length
    for (const lane of lanes) this.#views[lane].settle(entries.filter((entry) => entry.lane === lane))
    for (const { extent } of entries) if (extent) segments.release(extent.segment)
    countChanges(changes, this.#opened)
    this.#journal.forgotten(entries.length)
    this.#changed.ring()
  }

  /** As Queue.setAside. */
  setAside(entries: readonly AsideEntry[]): Promise<void> {
    return this.#writes.take(() => this.#setAside(entries))
  }

  async #setAside(entries: readonly AsideEntry[]): Promise<void> {
    await this.#writes.write(
      entries.flatMap((entry) => [del(recordKey(entry)), put(asideKey(entry), encodeAside(entry))]),
      { happened: () => this.#areGone(entries), settle: () => this.#countAside(entries) },
    )
  }

  #countAside(entries: readonly AsideEntry[]): void {
    for (const lane of lanes) this.#views[lane].settle(entries.filter((entry) => entry.lane === lane))
    this.#opened.aside.add(entries)
    for (const entry of entries) this.#journal.recordSetAside(placeText(entry), entry.stream, entry.why)
    this.#changed.ring()
  }

  /** One of them is gone if they all are. */
  async #areGone([first]: readonly IndexEntry[]): Promise<boolean> {
    return first !== undefined && (await this.#opened.index.get(recordKey(first))) === undefined
  }

  /** As Eviction.evict. */
  evict(atMost: Lane): Promise<boolean> {
    return this.#eviction.evict(atMost)
  }

  /** Whether any record before this place is still here, handed out or set aside too. */
  holdsBefore(end: Place): Promise<boolean> {
    return this.#writes.take(
      async () => this.#opened.aside.isAnyBefore(end) || (await this.#firstWaiting(end)) !== undefined,
    )
  }

  /** The first place before this one of a record that waits, handed out too, as its text. */
  firstWaiting(end: Place): Promise<string | undefined> {
    return this.#writes.take(() => this.#firstWaiting(end))
  }

  #firstWaiting(end: Place): Promise<string | undefined> {
    return firstWaiting(this.#opened.index, Object.values(this.#views), end)
  }
}
