import type { Signer } from '../../protocol/ed25519-policy.ts'
import { equalBytes, type DeviceId, type StreamId } from '../../protocol/ids.ts'
import { scanRecord } from '../../protocol/record.ts'
import { checkRecord, type KeyRing } from '../../protocol/verify.ts'
import type { Doorbell } from '../doorbell.ts'
import type { Journal } from '../journal.ts'
import {
  asideKey,
  decodeEntry,
  encodeAside,
  keys,
  lostKey,
  placeText,
  receiptedKey,
  recordKey,
  type AsideEntry,
  type IndexEntry,
  type Place,
} from './index-entry.ts'
import { del, put, type IndexWrite } from './index-store.ts'
import type { OpenedQueue } from './open-queue.ts'
import { ownKeys } from './own-keys.ts'

/** Records in the order of the chain, each checked, as they go over the wire. */
export interface Batch {
  readonly entries: readonly IndexEntry[]
  /** Valid until the next batch is asked for. */
  readonly bytes: Uint8Array
}

/** A write that takes records out of the index and of which nobody knows whether it happened. */
interface Doubt {
  /** One of the records: it is gone if they all are. */
  readonly probe: IndexEntry | undefined
  /** Counts them out. */
  readonly settle: () => void
}

/** How often in a row a record must be unreadable before it is set aside. */
const believedFailures = 3
/** Looked up in the index at a time. */
const pieceEntries = 256

/** The queue's way out: what is to be sent next, and what becomes of it. */
export class Outflow {
  readonly #opened: OpenedQueue
  readonly #own: KeyRing
  readonly #journal: Journal
  readonly #changed: Doorbell
  readonly #unreadable = new Map<string, number>()
  #doubt: Doubt | undefined
  /** No record stands before this key. */
  #oldest: string = keys.records
  #buffer: Uint8Array = new Uint8Array(0)

  constructor(opened: OpenedQueue, device: DeviceId, signer: Signer, journal: Journal, changed: Doorbell) {
    this.#opened = opened
    this.#own = ownKeys(device, signer)
    this.#journal = journal
    this.#changed = changed
  }

  /** As Queue.nextBatch; `end` is the place that the chain has not reached yet. */
  async nextBatch(maxBytes: number, maxRecords: number, end: Place): Promise<Batch | undefined> {
    await this.#settleDoubt()
    const entries = await this.#oldestEntries(maxBytes, maxRecords, end)
    if (entries.length === 0) return undefined
    const total = entries.reduce((sum, { extent }) => sum + extent.length, 0)
    if (this.#buffer.length < total) this.#buffer = Buffer.allocUnsafeSlow(Math.max(total, maxBytes))
    return this.#readChecked(entries)
  }

  async #oldestEntries(maxBytes: number, maxRecords: number, end: Place): Promise<IndexEntry[]> {
    const entries: IndexEntry[] = []
    let bytes = 0
    for (let from = this.#oldest; ;) {
      const piece = await this.#opened.index.entries(from, recordKey(end), pieceEntries)
      for (const [key, value] of piece) {
        const entry = decodeEntry(key, value)
        if (!entry) continue
        bytes += entry.extent.length
        if (entries.length > 0 && (bytes > maxBytes || entries.length === maxRecords)) return entries
        entries.push(entry)
      }
      const last = piece.at(-1)
      if (!last || piece.length < pieceEntries) return entries
      from = `${last[0]}\0`
    }
  }

  /** A record that is not what was sealed is set aside and named; it is never sent. */
  async #readChecked(entries: readonly IndexEntry[]): Promise<Batch> {
    const whole: IndexEntry[] = []
    let end = 0
    for (const entry of entries) {
      const into = this.#buffer.subarray(end, end + entry.extent.length)
      const damage = await this.#readRecord(entry, into)
      if (damage) {
        await this.setAside([{ ...entry, why: `damaged in the queue: ${damage}` }])
        continue
      }
      whole.push(entry)
      end += into.length
    }
    return { entries: whole, bytes: this.#buffer.subarray(0, end) }
  }

  async #readRecord(entry: IndexEntry, into: Uint8Array): Promise<string | undefined> {
    if (!(await this.#readOrCount(entry, into))) return 'RECORD_MALFORMED'
    const scan = scanRecord(into)
    if (scan.is !== 'whole' || scan.end !== into.length) return 'RECORD_MALFORMED'
    const checked = checkRecord(scan.frame, this.#own)
    if (!checked.ok) return checked.refusal
    return equalBytes(checked.value.digest, entry.digest) ? undefined : 'SIGNATURE_WRONG'
  }

  /** A disk that fails is tried again; one bad sector must not hold up for ever what stands behind it. */
  async #readOrCount(entry: IndexEntry, into: Uint8Array): Promise<boolean> {
    try {
      return await this.#opened.segments.read(entry.extent, into)
    } catch (cause) {
      const place = placeText(entry)
      const failures = (this.#unreadable.get(place) ?? 0) + 1
      this.#unreadable.set(place, failures)
      if (failures < believedFailures) throw cause
      this.#unreadable.delete(place)
      return false
    }
  }

  /** As Queue.forget. */
  async forget(entries: readonly IndexEntry[], end: Place): Promise<void> {
    const gone = new Set(entries.map(recordKey))
    const oldest = await this.#oldestBut(gone, end)
    await this.#write(
      [
        ...[...gone].map(del),
        ...this.#receiptedWrites(entries),
        put(keys.acknowledged, oldest.slice(keys.records.length)),
      ],
      { probe: entries[0], settle: () => this.#countForgotten(entries, oldest) },
    )
    await this.#opened.segments.removeDead(false)
  }

  #countForgotten(entries: readonly IndexEntry[], oldest: string): void {
    this.#oldest = oldest
    for (const { stream, length, extent } of entries) {
      this.#opened.ledger.receipted(stream, length, extent.length)
      this.#opened.segments.release(extent.segment)
      if (!this.#opened.resumePoints.has(stream)) this.#opened.ledger.forgetStream(stream)
    }
    this.#journal.forgotten(entries.length)
    this.#changed.ring()
  }

  /** The key before which nothing waits once these are gone. */
  async #oldestBut(gone: ReadonlySet<string>, end: Place): Promise<string> {
    for (let from = this.#oldest; ;) {
      const piece = await this.#opened.index.entries(from, recordKey(end), pieceEntries)
      const staying = piece.find(([key]) => !gone.has(key))
      if (staying) return staying[0]
      const last = piece.at(-1)
      if (!last || piece.length < pieceEntries) return recordKey(end)
      from = `${last[0]}\0`
    }
  }

  #receiptedWrites(entries: readonly IndexEntry[]): IndexWrite[] {
    const { ledger, resumePoints } = this.#opened
    const bytes = new Map<StreamId, number>()
    for (const { stream, length } of entries) bytes.set(stream, (bytes.get(stream) ?? 0) + length)
    return [...bytes].flatMap(([stream, more]) => {
      const isOver = !resumePoints.has(stream) && ledger.queuedBytes(stream) === more
      return isOver
        ? [del(receiptedKey(stream)), del(lostKey(stream))]
        : [put(receiptedKey(stream), String(ledger.receiptedBytes(stream) + more))]
    })
  }

  /** As Queue.setAside. */
  async setAside(entries: readonly AsideEntry[]): Promise<void> {
    await this.#write(
      entries.flatMap((entry) => [del(recordKey(entry)), put(asideKey(entry), encodeAside(entry))]),
      { probe: entries[0], settle: () => this.#countAside(entries) },
    )
  }

  #countAside(entries: readonly AsideEntry[]): void {
    this.#opened.aside.push(...entries)
    for (const entry of entries) this.#journal.recordSetAside(placeText(entry), entry.stream, entry.why)
    this.#changed.ring()
  }

  /** Takes records out of the index. A write that failed may have happened all the same: that is looked up before more. */
  async #write(writes: readonly IndexWrite[], doubt: Doubt): Promise<void> {
    await this.#settleDoubt()
    try {
      await this.#opened.index.write(writes)
    } catch (cause) {
      this.#doubt = doubt
      throw cause
    }
    doubt.settle()
  }

  /** Settles it once, whoever asks first: delivery and a flush may both be here. */
  async #settleDoubt(): Promise<void> {
    const doubt = this.#doubt
    this.#doubt = undefined
    if (!doubt?.probe) return
    try {
      const isStillThere = (await this.#opened.index.get(recordKey(doubt.probe))) !== undefined
      if (!isStillThere) doubt.settle()
    } catch (cause) {
      this.#doubt = doubt
      throw cause
    }
  }

  /** Whether any record before this place is still here, set aside or not. */
  async holdsBefore(end: Place): Promise<boolean> {
    await this.#settleDoubt()
    const waiting = await this.#opened.index.entries(this.#oldest, recordKey(end), 1)
    return waiting.length > 0 || this.#opened.aside.some((entry) => placeText(entry) < placeText(end))
  }
}
