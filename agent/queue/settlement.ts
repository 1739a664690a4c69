import type { StreamId } from '../../protocol/ids.ts'
import { forgetCounts } from './forget-counts.ts'
import {
  bodilessKey,
  lanePrefixes,
  markKey,
  receiptedKey,
  recordKey,
  type IndexEntry,
  type Place,
} from './index-entry.ts'
import { put, type IndexStore, type IndexWrite } from './index-store.ts'
import type { LaneView } from './lane-view.ts'
import type { Change } from './ledger.ts'
import type { OpenedQueue } from './open-queue.ts'
import { forgetShipped } from './shipped.ts'

/** The counts of streams as they stand after these changes. Of those in `staying` other records come at the same time. */
export async function countWrites(
  changes: ReadonlyMap<StreamId, Change>,
  { index, ledger, resumePoints }: Pick<OpenedQueue, 'index' | 'ledger' | 'resumePoints'>,
  staying: ReadonlySet<StreamId> = new Set(),
): Promise<IndexWrite[]> {
  const writes: IndexWrite[] = []
  const over: StreamId[] = []
  let lost = 0
  for (const [stream, change] of changes) {
    const { records, receipted, neverRead, bodiless } = ledger.after(stream, change)
    const isOver = !resumePoints.has(stream) && !staying.has(stream) && records === 0
    if (isOver) over.push(stream)
    if (isOver) lost += neverRead + bodiless
    if (isOver) writes.push(...(await forgetShipped(index, stream)))
    if (!isOver && change.receipted) writes.push(put(receiptedKey(stream), String(receipted)))
    if (!isOver && change.bodiless) writes.push(put(bodilessKey(stream), String(bodiless)))
  }
  return [...writes, ...forgetCounts(over, lost, ledger)]
}

/** Moves the ledger on, once what `countWrites` gave is on the disk. */
export function countChanges(
  changes: ReadonlyMap<StreamId, Change>,
  { ledger, resumePoints }: Pick<OpenedQueue, 'ledger' | 'resumePoints'>,
): void {
  for (const [stream, change] of changes) {
    ledger.change(stream, change)
    if (!resumePoints.has(stream)) ledger.forgetStream(stream)
  }
}

/** Where the oldest of a lane go, its mark moves on to the first that stays. */
export async function markWrites(
  entries: readonly IndexEntry[],
  views: Readonly<Record<IndexEntry['lane'], LaneView>>,
  end: Place,
  index: IndexStore,
): Promise<IndexWrite[]> {
  const gone = new Set(entries.map(recordKey))
  const writes: IndexWrite[] = []
  for (const lane of new Set(entries.map((entry) => entry.lane))) {
    const first = await firstBut(gone, views[lane], end, index)
    writes.push(put(markKey(lane), first.slice(lanePrefixes[lane].length)))
  }
  return writes
}

async function firstBut(
  gone: ReadonlySet<string>,
  view: LaneView,
  end: Place,
  index: IndexStore,
): Promise<string> {
  // Of one more than go, one stays.
  const first = await index.entries(view.oldest, view.endBefore(end), gone.size + 1)
  return first.find(([key]) => !gone.has(key))?.[0] ?? view.endBefore(end)
}
