import { limits } from '../../protocol/contract.ts'
import { BatchBuffers, type Batch, type BatchEntry } from './batch.ts'
import { recordKey, type IndexEntry } from './index-entry.ts'
import type { IndexStore } from './index-store.ts'
import type { Choice, LaneView } from './lane-view.ts'
import type { RecordReader } from './record-reader.ts'
import { waitingIn } from './waiting-entries.ts'

interface BatchParts {
  readonly index: IndexStore
  readonly reader: RecordReader
  /** Told of a record of which nothing is left that could be sent. */
  readonly onDamaged: (entry: IndexEntry, why: string) => Promise<void>
}

/** The batches that are handed out, each with its memory. */
export class Batches {
  readonly #parts: BatchParts
  readonly #buffers = new BatchBuffers()
  readonly #out = new Map<Batch, Uint8Array>()
  /** Kept back until their files were looked for. */
  #awaited: IndexEntry[] = []

  constructor(parts: BatchParts) {
    this.#parts = parts
  }

  /** Reads a batch and hands it out: the first of those in the choice that are not handed out. undefined: none waits. */
  async take(
    view: LaneView,
    choose: () => Choice,
    maxBytes: number,
    maxRecords: number,
  ): Promise<Batch | undefined> {
    for (;;) {
      const choice = choose()
      const entries = await this.#firstEntries(view, choice, maxBytes, maxRecords)
      if (entries.length === 0) {
        choice.foundNone()
        return undefined
      }
      const batch = await this.#read(view, entries, maxBytes)
      choice.handOut(batch.entries)
      if (batch.entries.length > 0) return batch
      this.release(batch)
    }
  }

  /** At least one where one waits, else within both limits. */
  async #firstEntries(
    view: LaneView,
    { spans }: Choice,
    maxBytes: number,
    maxRecords: number,
  ): Promise<IndexEntry[]> {
    const entries: IndexEntry[] = []
    let bytes = 0
    for await (const entry of waitingIn(this.#parts.index, spans)) {
      if (view.isHandedOut(recordKey(entry))) continue
      bytes += sizeOf(entry)
      if (entries.length > 0 && (bytes > maxBytes || entries.length === maxRecords)) return entries
      entries.push(entry)
    }
    return entries
  }

  async #read(view: LaneView, entries: readonly IndexEntry[], usualBytes: number): Promise<Batch> {
    const total = entries.reduce((sum, entry) => sum + sizeOf(entry), 0)
    const buffer = this.#buffers.take(total, usualBytes)
    const batch = await this.#readInto(buffer, view, entries).catch((cause: unknown) => {
      this.#buffers.giveBack(buffer)
      throw cause
    })
    this.#out.set(batch, buffer)
    return batch
  }

  async #readInto(buffer: Uint8Array, view: LaneView, entries: readonly IndexEntry[]): Promise<Batch> {
    const read: BatchEntry[] = []
    let end = 0
    for (const entry of entries) {
      const record = await this.#parts.reader.read(entry, buffer.subarray(end, end + sizeOf(entry)))
      if (record.is === 'damaged') {
        await this.#parts.onDamaged(entry, `damaged in the queue: ${record.why}`)
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

  /** True where the batch was handed out: its bytes are no longer valid. */
  release(batch: Batch): boolean {
    const buffer = this.#out.get(batch)
    if (!buffer) return false
    this.#out.delete(batch)
    this.#buffers.giveBack(buffer)
    return true
  }

  /** Those that were kept back, which are kept back no more. */
  releaseAwaited(): readonly IndexEntry[] {
    const awaited = this.#awaited
    this.#awaited = []
    return awaited
  }

  /** The segments from which batches are handed out. */
  get segments(): ReadonlySet<number> {
    const extents = [...this.#out.keys()].flatMap(({ entries }) => entries.map(({ extent }) => extent))
    return new Set(extents.map((extent) => extent?.segment ?? 0))
  }
}

/** What the record takes in a batch, at most. */
function sizeOf({ extent, length }: IndexEntry): number {
  return extent?.length ?? length + limits.maxRecordOverheadBytes
}
