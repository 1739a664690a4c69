import { decodeBody } from '../../protocol/body.ts'
import { continues, headAfter, type ChainHead } from '../../protocol/chain.ts'
import { parseEpoch, type ByteOffset, type Epoch, type StreamId } from '../../protocol/ids.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { recordOpening, scanRecord } from '../../protocol/record.ts'
import { checkRecord, type CheckedRecord, type KeyRing } from '../../protocol/verify.ts'
import { evidenceAfter } from './evidence.ts'
import { decodeEntry, encodeEntry, encodeHead, keys, placeText, recordKey, resumeKey } from './index-entry.ts'
import type { IndexEntry, Place } from './index-entry.ts'
import { allUnder, put, type IndexStore, type IndexWrite } from './index-store.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import type { SegmentLog } from './segment-log.ts'
import { shippedWrite } from './shipped.ts'

export interface TakenUp {
  /** Where the chain goes on; undefined where that cannot be known, and a new chain must begin. */
  readonly head: ChainHead | undefined
  /** The largest of the records found; a new chain's must be larger. */
  readonly newestEpoch: Epoch | undefined
  /** The segments have records, and all of them are of another device or key. */
  readonly isForeign: boolean
}

/**
 * LevelDB can lose entries, and its newest ones, without an error; a crash can leave a record in a segment that did not get
 * into the index. The segments outrank the index: every record in them that is this device's own, and has no receipt as far
 * as the index knows, is put back into it. Where such records continue the chain, its head and the resume points of their
 * files move on over them. One that had its receipt all the same is sent again and answered "duplicate".
 */
export async function takeUp(
  index: IndexStore,
  segments: SegmentLog,
  stored: ChainHead | undefined,
  resumePoints: Map<StreamId, ResumePoint>,
  own: KeyRing,
): Promise<TakenUp> {
  const acknowledged = (await index.get(keys.acknowledged)) ?? ''
  const { count, newestSegment } = await countKnown(index)
  const isComplete = stored !== undefined && count === placesWithoutReceipt(stored, acknowledged)
  const search = new Search(
    stored,
    acknowledged,
    resumePoints,
    await knownPlaces(index, isComplete ? newestSegment : 0),
  )
  for (const segment of segments.segments) {
    // Where nothing is missing before the head, only what came last can be behind it.
    if (isComplete && segment < newestSegment) continue
    const bytes = await segments.readWhole(segment).catch(() => keepUnread(segments, segment))
    for (const found of ownRecords(bytes, segment, own, search.isSettled)) {
      if (found === 'foreign') search.hasForeign = true
      else search.consider(found)
    }
    await search.write(index)
  }
  return search.result
}

/** Nobody knows what stands in a segment that cannot be read, so it is not unlinked; the next start looks again. */
function keepUnread(segments: SegmentLog, segment: number): Uint8Array {
  segments.retain(segment)
  return new Uint8Array(0)
}

interface Found {
  readonly record: CheckedRecord
  readonly entry: IndexEntry
}

class Search {
  readonly #acknowledged: string
  readonly #known: ReadonlySet<string>
  readonly #resumePoints: Map<StreamId, ResumePoint>
  #head: ChainHead | undefined
  #newestEpoch: Epoch | undefined
  #lost: IndexEntry[] = []
  #moved = new Set<StreamId>()
  #shipped: IndexWrite[] = []
  hasForeign = false

  constructor(
    head: ChainHead | undefined,
    acknowledged: string,
    resumePoints: Map<StreamId, ResumePoint>,
    known: ReadonlySet<string>,
  ) {
    this.#head = head
    this.#acknowledged = acknowledged
    this.#newestEpoch = epochOf(acknowledged)
    this.#resumePoints = resumePoints
    this.#known = known
  }

  /** Whether a record at this place needs no second look: it has its receipt, or the index knows it. */
  readonly isSettled = (place: Place): boolean => {
    const text = placeText(place)
    return text < this.#acknowledged || this.#known.has(text)
  }

  consider({ record, entry }: Found): void {
    this.#newestEpoch = Math.max(this.#newestEpoch ?? 0, entry.epoch) as Epoch
    this.#lost.push(entry)
    if (record.manifest.kind === 'data') this.#shipped.push(shippedWrite(record.manifest))
    if (this.#head && continues(this.#head, record.manifest)) this.#moveOn(this.#head, record)
    else if (this.#head && entry.epoch === this.#head.epoch && entry.seq >= this.#head.next)
      this.#head = undefined
  }

  #moveOn(head: ChainHead, { manifest, digest, frame }: CheckedRecord): void {
    this.#head = headAfter(head, digest)
    const point = this.#resumePoints.get(manifest.stream)
    if (manifest.kind !== 'data' || frame.body === null || point?.position !== manifest.offset) return
    const content = decodeBody(manifest, frame.body)
    if (!content.ok) return
    const position = (manifest.offset + manifest.length) as ByteOffset
    const evidence = evidenceAfter(point.evidence, manifest.offset, content.value)
    this.#resumePoints.set(manifest.stream, { ...point, position, evidence })
    this.#moved.add(manifest.stream)
  }

  /** Stores what was found since the last time, all or nothing. */
  async write(index: IndexStore): Promise<void> {
    if (this.#lost.length === 0) return
    const points = [...this.#moved]
      .map((stream) => this.#resumePoints.get(stream))
      .filter((point) => point !== undefined)
    await index.write([
      ...this.#lost.map((entry) => put(recordKey(entry), encodeEntry(entry))),
      ...this.#shipped,
      ...points.map((point) => put(resumeKey(point.stream), encodeResumePoint(point))),
      ...(this.#head ? [put(keys.head, encodeHead(this.#head))] : []),
    ])
    this.#lost = []
    this.#shipped = []
    this.#moved = new Set()
  }

  get result(): TakenUp {
    // A damaged record can look like another's: among this device's own it says nothing.
    const isForeign = this.hasForeign && !this.#head && this.#newestEpoch === undefined
    return { head: this.#head, newestEpoch: this.#newestEpoch, isForeign }
  }
}

async function countKnown(index: IndexStore): Promise<{ count: number; newestSegment: number }> {
  let count = 0
  let newestSegment = 0
  for await (const { segment } of knownRecords(index)) {
    count++
    newestSegment = Math.max(newestSegment, segment)
  }
  return { count, newestSegment }
}

/** The places of the records that the index knows in segments from this one on. */
async function knownPlaces(index: IndexStore, fromSegment: number): Promise<ReadonlySet<string>> {
  const places = new Set<string>()
  for await (const { place, segment } of knownRecords(index)) if (segment >= fromSegment) places.add(place)
  return places
}

async function* knownRecords(index: IndexStore): AsyncGenerator<{ place: string; segment: number }> {
  for await (const [key, value] of allUnder(index, keys.records)) {
    const segment = decodeEntry(key, value)?.extent.segment ?? 0
    yield { place: key.slice(keys.records.length), segment }
  }
  for await (const [key] of allUnder(index, keys.aside))
    yield { place: key.slice(keys.aside.length), segment: 0 }
}

function epochOf(acknowledged: string): Epoch | undefined {
  return acknowledged === '' ? undefined : parseEpoch(Number(acknowledged.split('/')[0]))
}

/** How many records the index must know, if no receipt skipped one; -1 where that cannot be said. */
function placesWithoutReceipt(head: ChainHead, acknowledged: string): number {
  const [epoch, seq] = acknowledged === '' ? [head.epoch, 0] : acknowledged.split('/').map(Number)
  return epoch === head.epoch && seq !== undefined ? head.next - seq : -1
}

/** This device's own records in a segment, and 'foreign' for each of another device or key. Their signatures are looked at only where that matters. */
function* ownRecords(
  bytes: Uint8Array,
  segment: number,
  own: KeyRing,
  isSettled: (place: Place) => boolean,
): Generator<Found | 'foreign'> {
  for (let start = nextOpening(bytes, 0); start >= 0;) {
    const scan = scanRecord(bytes, start)
    const manifest = scan.is === 'whole' ? decodeManifest(scan.frame.envelope.payload) : undefined
    if (scan.is !== 'whole' || !manifest?.ok) {
      start = nextOpening(bytes, start + 1)
      continue
    }
    const checked = isSettled(manifest.value) ? undefined : checkRecord(scan.frame, own)
    if (checked?.ok) yield foundAt(checked.value, { segment, offset: start, length: scan.end - start })
    else if (checked?.refusal === 'KEY_UNKNOWN') yield 'foreign'
    start = nextOpening(bytes, checked && !checked.ok ? start + 1 : scan.end)
  }
}

function nextOpening(bytes: Uint8Array, from: number): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(recordOpening, from)
}

function foundAt(record: CheckedRecord, extent: IndexEntry['extent']): Found {
  const { epoch, seq, stream } = record.manifest
  const length = record.manifest.kind === 'data' ? record.manifest.length : 0
  return { record, entry: { epoch, seq, stream, digest: record.digest, extent, length } }
}
