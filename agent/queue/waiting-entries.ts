import { decodeEntry, lanePrefixes, type IndexEntry, type Place } from './index-entry.ts'
import type { IndexStore } from './index-store.ts'
import type { LaneView } from './lane-view.ts'
import type { Span } from './passed-over.ts'

/** Looked up in the index at first, and at most, at a time. */
const firstPieceEntries = 16
const pieceEntries = 256

/** The records that wait from one key to before another, in the order of the chain. */
export async function* waitingEntries(
  index: IndexStore,
  start: string,
  end: string,
): AsyncGenerator<IndexEntry, void, undefined> {
  let limit = firstPieceEntries
  for (let from = start; ;) {
    const piece = await index.entries(from, end, limit)
    for (const [key, value] of piece) {
      const entry = decodeEntry(key, value)
      if (entry) yield entry
    }
    const last = piece.at(-1)
    if (!last || piece.length < limit) return
    from = `${last[0]}\0`
    limit = pieceEntries
  }
}

/** The same, for several parts of the index, one after the other. */
export async function* waitingIn(
  index: IndexStore,
  spans: readonly Span[],
): AsyncGenerator<IndexEntry, void, undefined> {
  for (const [start, end] of spans) yield* waitingEntries(index, start, end)
}

/** The first place before `end` of a record that waits in one of these lanes, as its text. */
export async function firstWaiting(
  index: IndexStore,
  views: readonly LaneView[],
  end: Place,
): Promise<string | undefined> {
  const places: string[] = []
  for (const view of views) {
    const first = await index.entries(view.oldest, view.endBefore(end), 1)
    places.push(...first.map(([key]) => key.slice(lanePrefixes[view.lane].length)))
  }
  return places.toSorted()[0]
}
