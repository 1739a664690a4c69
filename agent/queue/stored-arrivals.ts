import type { StreamId } from '../../protocol/ids.ts'
import type { SealedRecord } from '../../protocol/seal.ts'
import type { Arrival } from './arrival.ts'
import { ComingRanges } from './coming-ranges.ts'
import { envelopeTextOf } from './envelope-text.ts'
import { encodeEntry, encodeHead, keys, lostKey, recordKey, resumeKey, segmentKey } from './index-entry.ts'
import type { IndexEntry } from './index-entry.ts'
import { del, put, type IndexWrite } from './index-store.ts'
import type { Ledger } from './ledger.ts'
import type { OpenedQueue } from './open-queue.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import type { Extent } from './segment-log.ts'
import { withLargestSeen } from './seen-sizes.ts'

export interface SealedArrival {
  readonly arrival: Arrival
  readonly record: SealedRecord
}

/** One whose record stands in a segment. */
export interface StoredArrival extends SealedArrival {
  readonly entry: IndexEntry & { readonly extent: Extent }
}

/** The same arrival with what the index is to know of its record, which stands there. */
export function storedAt({ arrival, record }: SealedArrival, extent: Extent): StoredArrival {
  const { epoch, seq, stream } = record.manifest
  const where = { epoch, seq, lane: arrival.lane, stream, extent }
  const envelope = envelopeTextOf(record.bytes)
  return {
    arrival,
    record,
    entry: { ...where, length: contentBytes(record), digest: record.digest, envelope },
  }
}

/** All that the index is to know once these are in it. To be called while nothing else is being stored. */
export async function indexWrites(
  group: readonly StoredArrival[],
  { index, ledger, resumePoints }: Pick<OpenedQueue, 'index' | 'ledger' | 'resumePoints'>,
): Promise<IndexWrite[]> {
  const last = group.at(-1)
  return [
    ...group.map(({ entry }) => put(recordKey(entry), encodeEntry(entry))),
    ...(await writesOfRanges(group, index)),
    ...lostWrites(group, ledger),
    ...pointWrites(pointsOf(group, resumePoints)),
    ...(last ? [put(keys.head, encodeHead({ head: last.record.head, at: last.entry.extent }))] : []),
  ]
}

/** Keeps count of the segments that the index knows of, and of the records it has taken in. */
export class Tally {
  readonly #seen = new Set<number>()
  #added: number

  constructor(added: number) {
    this.#added = added
  }

  writes(group: readonly StoredArrival[]): IndexWrite[] {
    const used = new Set(group.map(({ entry }) => entry.extent.segment))
    const unseen = [...used].filter((segment) => !this.#seen.has(segment))
    return [
      put(keys.added, String(this.#added + group.length)),
      ...unseen.map((segment) => put(segmentKey(segment), 'seen')),
    ]
  }

  count(group: readonly StoredArrival[]): void {
    this.#added += group.length
    for (const { entry } of group) this.#seen.add(entry.extent.segment)
  }
}

/** Has memory say what the index now says. */
export function countIn(group: readonly StoredArrival[], opened: OpenedQueue): void {
  const { resumePoints, ledger, longest, segments } = opened
  for (const [stream, point] of pointsOf(group, resumePoints)) {
    if (point) resumePoints.set(stream, point)
    else resumePoints.delete(stream)
  }
  for (const { arrival, record } of group) {
    const { manifest, bytes } = record
    const queued = contentBytes(record)
    longest.note(manifest)
    ledger.change(manifest.stream, {
      records: 1,
      recordBytes: bytes.length,
      queued,
      neverRead: lostBytes({ arrival, record }),
    })
  }
  const last = group.at(-1)
  if (last) segments.holdLast(last.entry.extent.segment)
}

/** Of each stream whose resume point moves, the last one counts. */
function pointsOf(
  group: readonly StoredArrival[],
  before: ReadonlyMap<StreamId, ResumePoint>,
): ReadonlyMap<StreamId, ResumePoint | null> {
  const points = new Map<StreamId, ResumePoint | null>()
  for (const { arrival } of group) {
    const { resume, label } = arrival
    if (resume === 'stays') continue
    points.set(label.stream, resume && withLargestSeen(resume, before.get(label.stream)))
  }
  return points
}

async function writesOfRanges(
  group: readonly StoredArrival[],
  index: OpenedQueue['index'],
): Promise<IndexWrite[]> {
  const ranges = new ComingRanges(index)
  await ranges.look(group.map(({ record }) => record.manifest))
  const writes: IndexWrite[] = []
  for (const { arrival, record } of group)
    writes.push(...(await ranges.sealed(record.manifest, arrival.anew?.of)))
  return writes
}

function lostWrites(group: readonly StoredArrival[], ledger: Ledger): IndexWrite[] {
  const lost = new Map<StreamId, number>()
  for (const { arrival, record } of group) {
    const { kind, stream } = record.manifest
    if (kind === 'loss') lost.set(stream, (lost.get(stream) ?? 0) + lostBytes({ arrival, record }))
  }
  return [...lost].map(([stream, neverRead]) =>
    put(lostKey(stream), String(ledger.after(stream, { neverRead }).neverRead)),
  )
}

/** What is known of a stream that ends here stays as long as this record. */
function pointWrites(points: ReturnType<typeof pointsOf>): IndexWrite[] {
  return [...points].map(([stream, point]) =>
    point ? put(resumeKey(stream), encodeResumePoint(point)) : del(resumeKey(stream)),
  )
}

/** Of the log's bytes in the record. */
function contentBytes({ manifest }: SealedRecord): number {
  return manifest.kind === 'data' ? manifest.length : 0
}

/** A loss that is named once more was counted when it was named first. */
function lostBytes({ arrival, record: { manifest } }: SealedArrival): number {
  return manifest.kind === 'loss' && arrival.anew?.kind !== 'loss' ? (manifest.length ?? 0) : 0
}
