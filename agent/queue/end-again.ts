import type { Manifest } from '../../protocol/manifest.ts'
import type { Arrival } from './arrival.ts'
import { closedKey, laneKey, placeText, type IndexEntry, type Place } from './index-entry.ts'
import type { IndexStore } from './index-store.ts'
import { lanes } from './lane.ts'
import { decodePlaces } from './range-layers.ts'
import { parseObject } from './resume-point.ts'
import { endSaid, isOutrun, type SaidEnd } from './shipped.ts'

/** A record that was sealed anew, or is now. */
export interface SealedAnew {
  readonly manifest: Manifest
  readonly entry: IndexEntry
  /** What is sealed of it is still to be in the index. */
  readonly isComing: boolean
  /** It leaves the queue with the end, where that is the last that comes in its place. */
  readonly replaces?: IndexEntry
  /** Whether the record at a place waits, and has no receipt that anybody knows of. */
  readonly isWaiting: (place: Place) => Promise<boolean>
}

/**
 * The end of the file of which parts were sealed anew: behind its end they would pass for a change of it. undefined where it has none
 * that still holds, or where the record of that waits and brings it when it has its receipt.
 */
export async function endBehind(
  { manifest, entry, isComing, replaces, isWaiting }: SealedAnew,
  index: IndexStore,
): Promise<Arrival | undefined> {
  const end = manifest.kind === 'close' ? undefined : await endSaid(index, manifest.stream)
  if (!end || (await isWaiting(end.at))) return undefined
  if (!(await isOutrun(index, manifest.stream, end, isComing))) return undefined
  return said(end, manifest, entry, replaces)
}

/** Whether the record at a place waits in any lane. */
export async function isWaitingAt(index: IndexStore, place: Place): Promise<boolean> {
  const entries = await index.getMany(lanes.map((lane) => laneKey(lane, place)))
  return entries.some((entry) => entry !== undefined)
}

/** Those of these records that say the end of a file last, and behind which parts of it were sealed anew. */
export async function outrunEnds(
  entries: readonly IndexEntry[],
  index: IndexStore,
): Promise<readonly IndexEntry[]> {
  // The end of a file holds none of its bytes.
  const empty = entries.filter(({ length }) => length === 0)
  if (empty.length === 0) return []
  const streams = [...new Set(empty.map(({ stream }) => stream))]
  const known = await index.getMany(streams.map(closedKey))
  const places = known.map((text) => decodePlaces(parseObject(text ?? '')).at)
  const ends = new Set(places.map((place) => place && placeText(place)))
  const outrun: IndexEntry[] = []
  for (const entry of empty)
    if (ends.has(placeText(entry)) && (await outrunEnd(entry, index))) outrun.push(entry)
  return outrun
}

/** The same end once more, where parts of its file were sealed anew behind its record; undefined where they were not. */
export async function endAgain(
  manifest: Manifest,
  entry: IndexEntry,
  index: IndexStore,
): Promise<Arrival | undefined> {
  const end = await outrunEnd(entry, index)
  return end && said(end, manifest, entry)
}

async function outrunEnd(entry: IndexEntry, index: IndexStore): Promise<SaidEnd | undefined> {
  const end = await endSaid(index, entry.stream)
  if (!end || placeText(end.at) !== placeText(entry)) return undefined
  return (await isOutrun(index, entry.stream, end)) ? end : undefined
}

function said(
  { length, sha256, first }: SaidEnd,
  { stream, path, tags }: Manifest,
  { lane }: IndexEntry,
  replaces?: IndexEntry,
): Arrival {
  const anew = { kind: 'close', of: first, replaces } as const
  return { kind: 'close', label: { stream, path, tags }, lane, resume: 'stays', length, sha256, anew }
}
