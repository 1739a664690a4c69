import { limits } from '../../protocol/contract.ts'
import type { StreamId } from '../../protocol/ids.ts'
import type { Doorbell } from '../doorbell.ts'
import type { Journal } from '../journal.ts'
import { BatchBuffers, type Batch, type BatchEntry } from './batch.ts'
import { DoubtfulWrites } from './doubtful-writes.ts'
import { Eviction } from './eviction.ts'
import {
  asideKey,
  encodeAside,
  keys,
  laneKey,
  placeText,
  recordKey,
  type AsideEntry,
  type IndexEntry,
  type Place,
} from './index-entry.ts'
import { del, put } from './index-store.ts'
import { lastReceiptedWrite } from './notes.ts'
import { LaneView } from './lane-view.ts'
import { lanes, type Lane } from './lane.ts'
import { changesOf, type Change } from './ledger.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { RecordReader } from './record-reader.ts'
import { countChanges, countWrites, markWrites } from './settlement.ts'
import { waitingEntries } from './waiting-entries.ts'

/** The queue's way out: what is to be sent next, and what becomes of it. One call is done before the next begins. */
export class Outflow {
  readonly #opened: OpenedQueue
  readonly #reader: RecordReader
  readonly #journal: Journal
  readonly #changed: Doorbell
  readonly #writes: DoubtfulWrites
  readonly #views: Record<Lane, LaneView>
  readonly #eviction: Eviction
  readonly #buffers = new BatchBuffers()
  /** The batches that are handed out, each with its memory. */
  readonly #batches = new Map<Batch, Uint8Array>()
  /** Kept back until their files were looked for. */
  #awaited: IndexEntry[] = []
  /** How many records were taken out of the index since it was opened. */
  #removed = 0

  constructor(opened: OpenedQueue, reader: RecordReader, journal: Journal, changed: Doorbell) {
    this.#opened = opened
    this.#reader = reader
    this.#journal = journal
    this.#changed = changed
    this.#writes = new DoubtfulWrites(opened.index)
    this.#views = { high: new LaneView('high'), normal: new LaneView('normal'), low: new LaneView('low') }
    const busy = (): ReadonlySet<number> => this.#busySegments()
    this.#eviction = new Eviction({ opened, writes: this.#writes, views: this.#views, reader, journal, busy })
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
        const batch = await this.#takeOf(this.#views[lane], maxBytes, maxRecords, end())
        if (batch) return batch
      }
      return undefined
    })
  }

  async #takeOf(
    view: LaneView,
    maxBytes: number,
    maxRecords: number,
    end: Place,
  ): Promise<Batch | undefined> {
    for (;;) {
      const { givenBack } = view
      const entries = await this.#firstEntries(view, maxBytes, maxRecords, end)
      if (entries.length === 0) return undefined
      const total = entries.reduce((sum, entry) => sum + sizeOf(entry), 0)
      const buffer = this.#buffers.take(total, maxBytes)
      const batch = await this.#readInto(buffer, view, entries).catch((cause: unknown) => {
        this.#buffers.giveBack(buffer)
        throw cause
      })
      view.handOut(batch.entries, givenBack)
      this.#batches.set(batch, buffer)
      if (batch.entries.length > 0) return batch
      this.#release(batch)
    }
  }

  /** The first that are not handed out, at least one where one waits, else within both limits. */
  async #firstEntries(
    view: LaneView,
    maxBytes: number,
    maxRecords: number,
    end: Place,
  ): Promise<IndexEntry[]> {
    const entries: IndexEntry[] = []
    let bytes = 0
    for await (const entry of waitingEntries(this.#opened.index, view.from, view.endBefore(end))) {
      if (view.isHandedOut(recordKey(entry))) continue
      bytes += sizeOf(entry)
      if (entries.length > 0 && (bytes > maxBytes || entries.length === maxRecords)) return entries
      entries.push(entry)
    }
    return entries
  }

  /** One of which nothing is left that could be sent is set aside and named. */
  async #readInto(buffer: Uint8Array, view: LaneView, entries: readonly IndexEntry[]): Promise<Batch> {
    const read: BatchEntry[] = []
    let end = 0
    for (const entry of entries) {
      const record = await this.#reader.read(entry, buffer.subarray(end, end + sizeOf(entry)))
      if (record.is === 'damaged') {
        await this.#setAside([{ ...entry, why: `damaged in the queue: ${record.why}` }])
        continue
      }
      if (record.is === 'awaited') {
        view.keepBack(entry)
        this.#awaited.push(entry)
        continue
      }
      if (record.bytes.buffer !== buffer.buffer) buffer.set(record.bytes, end)
      read.push({ ...entry, isWithheld: record.is === 'withheld' })
      end += record.bytes.length
    }
    return { lane: view.lane, entries: read, bytes: buffer.subarray(0, end) }
  }

  /** As Queue.giveBack. */
  giveBack(batch: Batch): void {
    if (!this.#batches.has(batch)) return
    this.#views[batch.lane].takeBack(batch.entries)
    this.#release(batch)
    this.#changed.ring()
  }

  /** Hands out what waited for files to be looked for. */
  looked(): Promise<void> {
    return this.#writes.take(async () => {
      for (const lane of lanes)
        this.#views[lane].takeBack(this.#awaited.filter((entry) => entry.lane === lane))
      this.#awaited = []
      this.#changed.ring()
    })
  }

  #release(batch: Batch): void {
    const buffer = this.#batches.get(batch)
    if (buffer && this.#batches.delete(batch)) this.#buffers.giveBack(buffer)
  }

  /** As Queue.forget. */
  forget(
    received: readonly IndexEntry[],
    withoutBody: readonly IndexEntry[],
    end: () => Place,
  ): Promise<void> {
    return this.#writes.take(async () => {
      const changes = changesOf(received, withoutBody)
      const entries = [...received, ...withoutBody]
      const writes = [
        ...entries.map((entry) => del(recordKey(entry))),
        ...countWrites(changes, this.#opened),
        ...(await markWrites(entries, this.#views, end(), this.#opened.index)),
        put(keys.removed, String(this.#removed + entries.length)),
        ...received.slice(-1).map(lastReceiptedWrite),
      ]
      const settle = (): void => this.#countForgotten(entries, changes)
      await this.#writes.write(writes, { happened: () => this.#areGone(entries), settle })
      await this.#removeDead()
    })
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
    this.#opened.aside.push(...entries)
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

  #busySegments(): ReadonlySet<number> {
    const extents = [...this.#batches.keys()].flatMap(({ entries }) => entries.map(({ extent }) => extent))
    return new Set(extents.map((extent) => extent?.segment ?? 0))
  }

  /** Whether any record before this place is still here, handed out or set aside too. */
  holdsBefore(end: Place): Promise<boolean> {
    return this.#writes.take(async () => {
      if (this.#opened.aside.some((entry) => placeText(entry) < placeText(end))) return true
      for (const lane of lanes) {
        const { oldest } = this.#views[lane]
        if ((await this.#opened.index.entries(oldest, laneKey(lane, end), 1)).length > 0) return true
      }
      return false
    })
  }
}

/** What the record takes in a batch, at most. */
function sizeOf({ extent, length }: IndexEntry): number {
  return extent?.length ?? length + limits.maxRecordOverheadBytes
}
