import { limits } from '../../protocol/contract.ts'
import type { StreamId } from '../../protocol/ids.ts'
import type { Doorbell } from '../doorbell.ts'
import type { Journal } from '../journal.ts'
import { BatchBuffers, type Batch, type BatchEntry } from './batch.ts'
import {
  asideKey,
  decodeEntry,
  encodeAside,
  keys,
  laneKey,
  lanePrefixes,
  bodilessKey,
  markKey,
  placeText,
  receiptedKey,
  recordKey,
  type AsideEntry,
  type IndexEntry,
  type Place,
} from './index-entry.ts'
import { del, put, type IndexWrite } from './index-store.ts'
import { lastReceiptedWrite } from './notes.ts'
import { forgetCounts } from './forget-counts.ts'
import { LaneView } from './lane-view.ts'
import { lanes, type Lane } from './lane.ts'
import { changesOf, type Change } from './ledger.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { RecordReader } from './record-reader.ts'
import { Turns } from './turns.ts'

/** A write that takes records out of the index and of which nobody knows whether it happened. */
interface Doubt {
  /** One of the records: it is gone if they all are. */
  readonly probe: IndexEntry | undefined
  /** Counts them out. */
  readonly settle: () => void
}

/** Looked up in the index at first, and at most, at a time. */
const firstPieceEntries = 16
const pieceEntries = 256

/** The queue's way out: what is to be sent next, and what becomes of it. One call is done before the next begins. */
export class Outflow {
  readonly #opened: OpenedQueue
  readonly #reader: RecordReader
  readonly #journal: Journal
  readonly #changed: Doorbell
  readonly #turns = new Turns()
  readonly #views: Record<Lane, LaneView>
  readonly #buffers = new BatchBuffers()
  /** The batches that are handed out, each with its memory. */
  readonly #batches = new Map<Batch, Uint8Array>()
  #doubt: Doubt | undefined
  /** How many records were taken out of the index since it was opened. */
  #removed = 0

  constructor(opened: OpenedQueue, reader: RecordReader, journal: Journal, changed: Doorbell) {
    this.#opened = opened
    this.#reader = reader
    this.#journal = journal
    this.#changed = changed
    this.#views = { high: new LaneView('high'), normal: new LaneView('normal'), low: new LaneView('low') }
  }

  /** As Queue.take; `end` is the place that the chain has not reached yet. */
  take(
    maxBytes: number,
    maxRecords: number,
    end: () => Place,
    from: readonly Lane[],
  ): Promise<Batch | undefined> {
    return this.#turns.take(async () => {
      await this.#settleDoubt()
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
      const entries = await this.#firstEntries(view, maxBytes, maxRecords, end)
      if (entries.length === 0) return undefined
      const total = entries.reduce((sum, entry) => sum + sizeOf(entry), 0)
      const buffer = this.#buffers.take(total, maxBytes)
      const batch = await this.#readInto(buffer, view.lane, entries).catch((cause: unknown) => {
        this.#buffers.giveBack(buffer)
        throw cause
      })
      view.handOut(batch.entries)
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
    for await (const entry of this.#waiting(view, view.from, end)) {
      bytes += sizeOf(entry)
      if (entries.length > 0 && (bytes > maxBytes || entries.length === maxRecords)) return entries
      entries.push(entry)
    }
    return entries
  }

  async *#waiting(view: LaneView, start: string, end: Place): AsyncGenerator<IndexEntry> {
    let limit = firstPieceEntries
    for (let from = start; ;) {
      const piece = await this.#opened.index.entries(from, view.endBefore(end), limit)
      for (const [key, value] of piece) {
        const entry = view.isHandedOut(key) ? undefined : decodeEntry(key, value)
        if (entry) yield entry
      }
      const last = piece.at(-1)
      if (!last || piece.length < limit) return
      from = `${last[0]}\0`
      limit = pieceEntries
    }
  }

  /** One of which nothing is left that could be sent is set aside and named. */
  async #readInto(buffer: Uint8Array, lane: Lane, entries: readonly IndexEntry[]): Promise<Batch> {
    const read: BatchEntry[] = []
    let end = 0
    for (const entry of entries) {
      const record = await this.#reader.read(entry, buffer.subarray(end, end + sizeOf(entry)))
      if (record.is === 'damaged') {
        await this.#setAside([{ ...entry, why: `damaged in the queue: ${record.why}` }])
        continue
      }
      if (record.bytes.buffer !== buffer.buffer) buffer.set(record.bytes, end)
      read.push({ ...entry, isWithheld: record.is === 'withheld' })
      end += record.bytes.length
    }
    return { lane, entries: read, bytes: buffer.subarray(0, end) }
  }

  /** As Queue.giveBack. */
  giveBack(batch: Batch): void {
    if (!this.#batches.has(batch)) return
    this.#views[batch.lane].takeBack(batch.entries)
    this.#release(batch)
    this.#changed.ring()
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
    return this.#turns.take(async () => {
      await this.#settleDoubt()
      const changes = changesOf(received, withoutBody)
      const entries = [...received, ...withoutBody]
      const writes = [
        ...entries.map((entry) => del(recordKey(entry))),
        ...this.#countWrites(changes),
        ...(await this.#markWrites(entries, end())),
        put(keys.removed, String(this.#removed + entries.length)),
        ...received.slice(-1).map(lastReceiptedWrite),
      ]
      const settle = (): void => this.#countForgotten(entries, changes)
      await this.#write(writes, { probe: entries[0], settle })
      await this.#opened.segments.removeDead()
    })
  }

  /** Where the oldest of a lane go, its mark moves on to the first that stays. */
  async #markWrites(entries: readonly IndexEntry[], end: Place): Promise<IndexWrite[]> {
    const gone = new Set(entries.map(recordKey))
    const writes: IndexWrite[] = []
    for (const lane of new Set(entries.map((entry) => entry.lane))) {
      const first = await this.#firstBut(gone, this.#views[lane], end)
      writes.push(put(markKey(lane), first.slice(lanePrefixes[lane].length)))
    }
    return writes
  }

  async #firstBut(gone: ReadonlySet<string>, view: LaneView, end: Place): Promise<string> {
    for (let from = view.oldest; ;) {
      const piece = await this.#opened.index.entries(from, view.endBefore(end), pieceEntries)
      const staying = piece.find(([key]) => !gone.has(key))
      if (staying) return staying[0]
      const last = piece.at(-1)
      if (!last || piece.length < pieceEntries) return view.endBefore(end)
      from = `${last[0]}\0`
    }
  }

  #countForgotten(entries: readonly IndexEntry[], changes: ReadonlyMap<StreamId, Change>): void {
    const { ledger, segments, resumePoints } = this.#opened
    this.#removed += entries.length
    for (const lane of lanes) this.#views[lane].settle(entries.filter((entry) => entry.lane === lane))
    for (const { extent } of entries) if (extent) segments.release(extent.segment)
    for (const [stream, change] of changes) {
      ledger.change(stream, change)
      if (!resumePoints.has(stream)) ledger.forgetStream(stream)
    }
    this.#journal.forgotten(entries.length)
    this.#changed.ring()
  }

  #countWrites(changes: ReadonlyMap<StreamId, Change>): IndexWrite[] {
    const { ledger, resumePoints } = this.#opened
    const writes: IndexWrite[] = []
    for (const [stream, change] of changes) {
      const { records, receipted, bodiless } = ledger.after(stream, change)
      const isOver = !resumePoints.has(stream) && records === 0
      if (isOver) writes.push(...forgetCounts(stream))
      if (!isOver && change.receipted) writes.push(put(receiptedKey(stream), String(receipted)))
      if (!isOver && change.bodiless) writes.push(put(bodilessKey(stream), String(bodiless)))
    }
    return writes
  }

  /** As Queue.setAside. */
  setAside(entries: readonly AsideEntry[]): Promise<void> {
    return this.#turns.take(async () => {
      await this.#settleDoubt()
      await this.#setAside(entries)
    })
  }

  async #setAside(entries: readonly AsideEntry[]): Promise<void> {
    await this.#write(
      entries.flatMap((entry) => [del(recordKey(entry)), put(asideKey(entry), encodeAside(entry))]),
      { probe: entries[0], settle: () => this.#countAside(entries) },
    )
  }

  #countAside(entries: readonly AsideEntry[]): void {
    for (const lane of lanes) this.#views[lane].settle(entries.filter((entry) => entry.lane === lane))
    this.#opened.aside.push(...entries)
    for (const entry of entries) this.#journal.recordSetAside(placeText(entry), entry.stream, entry.why)
    this.#changed.ring()
  }

  /** Takes records out of the index. A write that failed may have happened all the same: the next call looks it up first. */
  async #write(writes: readonly IndexWrite[], doubt: Doubt): Promise<void> {
    try {
      await this.#opened.index.write(writes)
    } catch (cause) {
      this.#doubt = doubt
      throw cause
    }
    doubt.settle()
  }

  async #settleDoubt(): Promise<void> {
    const probe = this.#doubt?.probe
    if (!probe) return
    const isStillThere = (await this.#opened.index.get(recordKey(probe))) !== undefined
    if (!isStillThere) this.#doubt?.settle()
    this.#doubt = undefined
  }

  /** Whether any record before this place is still here, handed out or set aside too. */
  holdsBefore(end: Place): Promise<boolean> {
    return this.#turns.take(async () => {
      await this.#settleDoubt()
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
