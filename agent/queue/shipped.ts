import { equalBytes, isCount, type Digest, type StreamId } from '../../protocol/ids.ts'
import type { CloseManifest, DataManifest, LossManifest, Manifest } from '../../protocol/manifest.ts'
import { allUnder, del, put, type IndexStore, type IndexWrite } from './index-store.ts'
import { beganKey, closedKey, endlessKey, keys, placeText, type Place } from './index-entry.ts'
import {
  decodeLayers,
  decodePlaces,
  encodeLayers,
  isAlike,
  isBehind,
  placeFields,
  withLayer,
  type Layer,
  type Places,
} from './range-layers.ts'
import { parseObject } from './resume-point.ts'

/** A range of a file that was sealed, and the hash of its bytes then. */
export interface ShippedRange {
  readonly offset: number
  readonly length: number
  readonly sha256: Digest
}

const prefixOf = (stream: StreamId): string => `${keys.shipped}${stream}/`
const keyOf = (stream: StreamId, offset: number): string =>
  `${prefixOf(stream)}${String(offset).padStart(16, '0')}`

type Rows = Pick<IndexStore, 'get'>

/**
 * What a record says of its file: what stands in a range, that this is lost, or that the file ends. A later record of the same
 * offset hides an earlier one that does not go on behind it. `of` is the place of the one that held it before, where it was
 * sealed anew.
 */
export async function rangeWrites(
  rows: Rows,
  manifest: Manifest,
  of?: Place,
): Promise<readonly IndexWrite[]> {
  const layer = layerOf(manifest, of)
  if (!layer) return [put(keyOfSaying(manifest), JSON.stringify(placeFields({ at: placeOf(manifest), of })))]
  if (manifest.kind === 'close') return [put(keyOfSaying(manifest), encodeLayers([layer]))]
  return [put(keyOfSaying(manifest), encodeLayers(withLayer(await layersOf(rows, manifest), layer)))]
}

/** The same of a record that is found again. What a later one says stays, and what says the same was sealed anew. */
export async function foundWrites(rows: Rows, manifest: Manifest): Promise<readonly IndexWrite[]> {
  const { at, of = at } = await sayingSame(rows, manifest)
  if (at && isBehind(at, manifest)) return []
  return rangeWrites(rows, manifest, of)
}

/** Where the record stands that says, or said, the same of the file. */
async function sayingSame(rows: Rows, manifest: Manifest): Promise<Places> {
  const layer = layerOf(manifest)
  if (!layer || manifest.kind === 'close') return placesUnder(rows, keyOfSaying(manifest))
  return (await layersOf(rows, manifest)).find((known) => isAlike(known, layer)) ?? nowhere
}

const nowhere: Places = { at: undefined, of: undefined }

/** Where the index has what a record says of its file. */
export function keyOfSaying(manifest: Manifest): string {
  const { kind, stream } = manifest
  if (kind === 'close') return closedKey(stream)
  return manifest.length === null ? endlessKey(stream) : keyOf(stream, manifest.offset)
}

/** undefined where nobody knows of how many bytes it says something. */
function layerOf(manifest: Manifest, of?: Place): Layer | undefined {
  if (manifest.length === null) return undefined
  const sha256 = manifest.kind === 'loss' ? null : manifest.sha256
  return { length: manifest.length, sha256, at: placeOf(manifest), of }
}

const placeOf = ({ epoch, seq }: Place): Place => ({ epoch, seq })

/** What is known of the offset at which the record's range begins. */
async function layersOf(rows: Rows, manifest: Manifest): Promise<readonly Layer[]> {
  return decodeLayers((await rows.get(keyOfSaying(manifest))) ?? '')
}

/** From its first byte to before its last. */
export interface Stretch {
  readonly from: number
  readonly to: number
}

/**
 * Of the bytes that a record holds those of which no later one holds any, in their order. A loss takes no bytes away, and what is
 * said of bytes, whatever it is, makes it needless to say that they are lost. `longest` is as LongestRanges says.
 */
export async function stillSaidBy(
  index: IndexStore,
  manifest: DataManifest | LossManifest,
  longest: number,
): Promise<Stretch[]> {
  const { kind, stream, offset, length } = manifest
  const to = offset + (length ?? 0)
  const left: Stretch[] = []
  let from: number = offset
  // A loss may be of any length.
  const start = kind === 'data' ? Math.max(0, offset - longest) : 0
  for await (const range of rangesBetween(index, stream, start, to)) {
    if (!isNewer(range, manifest) || (kind === 'data' && !range.sha256)) continue
    if (range.offset > from) left.push({ from, to: range.offset })
    from = Math.max(from, range.offset + range.length)
  }
  if (from < to) left.push({ from, to })
  return left
}

/** Of one that an agent before this one noted its content tells: of two at one offset the later one was noted. */
function isNewer({ at, offset, sha256 }: NamedRange, manifest: DataManifest | LossManifest): boolean {
  if (at) return isBehind(at, manifest)
  const isSame = manifest.kind === 'data' && sha256 !== null && equalBytes(sha256, manifest.sha256)
  return offset === manifest.offset && sha256 !== null && !isSame
}

/** Whether nothing new was said of the file behind this end of it. What was sealed anew is as old as what held it first. */
export async function isLastWord(index: IndexStore, manifest: CloseManifest): Promise<boolean> {
  const { at } = await placesUnder(index, closedKey(manifest.stream))
  if (at && isBehind(at, manifest)) return false
  return !(await hasGoneOn(index, manifest.stream, manifest))
}

async function hasGoneOn(
  index: IndexStore,
  stream: StreamId,
  end: Place & Pick<CloseManifest, 'length'>,
): Promise<boolean> {
  if (isNews(await placesUnder(index, endlessKey(stream)), end)) return true
  for await (const range of namedRanges(index, stream)) {
    // What an agent before this one noted names no place.
    const goesOn = !range.at && range.offset + range.length > end.length
    if (goesOn || isNews(range, end)) return true
  }
  return false
}

function isNews({ at, of = at }: Places, than: Place): boolean {
  return of !== undefined && isBehind(of, than)
}

/** The end of a file as it was said last, and where. */
export interface SaidEnd {
  readonly length: number
  readonly sha256: Digest
  readonly at: Place
  /** Where it was said first. */
  readonly first: Place
}

/** undefined where the file has none; an agent before this one noted only its place. */
export async function endSaid(index: IndexStore, stream: StreamId): Promise<SaidEnd | undefined> {
  const [end] = decodeLayers((await index.get(closedKey(stream))) ?? '')
  if (!end?.at || !end.sha256) return undefined
  const { length, sha256, at, of: first = at } = end
  return { length, sha256, at, first }
}

/**
 * Whether the end of the file, which still holds, is to be said again, because what was sealed anew of it stands behind its
 * record, or will, where `isComing`: it would pass for a change.
 */
export async function isOutrun(
  index: IndexStore,
  stream: StreamId,
  { at, first, length }: SaidEnd,
  isComing = false,
): Promise<boolean> {
  const isBehindIt = isComing || (await isAnyBehind(index, stream, at))
  return isBehindIt && !(await hasGoneOn(index, stream, { ...first, length }))
}

async function isAnyBehind(index: IndexStore, stream: StreamId, end: Place): Promise<boolean> {
  const { at: endless } = await placesUnder(index, endlessKey(stream))
  if (endless && isBehind(endless, end)) return true
  for await (const { at } of namedRanges(index, stream)) if (at && isBehind(at, end)) return true
  return false
}

/** Where the first record stands that held this: the record itself, or what was sealed anew in its place. */
export async function firstPlaceOf(index: IndexStore, manifest: Manifest): Promise<Place> {
  const known = layerOf(manifest)
    ? await layersOf(index, manifest)
    : [await placesUnder(index, keyOfSaying(manifest))]
  const own = known.find(({ at }) => at && placeText(at) === placeText(manifest))
  return own?.of ?? placeOf(manifest)
}

/** Whether a later record says that bytes of this file are lost, nobody knows how many. */
export async function isSaidAgain(index: IndexStore, manifest: Manifest): Promise<boolean> {
  const { at } = await placesUnder(index, endlessKey(manifest.stream))
  return at !== undefined && isBehind(at, manifest)
}

async function placesUnder(rows: Rows, key: string): Promise<Places> {
  return decodePlaces(parseObject((await rows.get(key)) ?? ''))
}

/** The ranges of a stream that were shipped last at their offsets, in the order of these. */
export async function* shippedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<ShippedRange> {
  for await (const row of allUnder(index, prefixOf(stream))) {
    const [newest] = decodeRow(row)
    if (newest?.sha256) yield { offset: newest.offset, length: newest.length, sha256: newest.sha256 }
  }
}

/** A range that a record names. */
export interface NamedRange extends Layer {
  readonly offset: number
}

/** All that is known of a stream's ranges, with those that are lost; of one offset the newest first. */
export async function* namedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<NamedRange> {
  for await (const row of allUnder(index, prefixOf(stream))) yield* decodeRow(row)
}

/** What the index has of one offset. */
export interface RangeRow {
  readonly key: string
  readonly value: string
  readonly offset: number
  readonly layers: readonly Layer[]
}

/** So many of those that a stream has at an offset or behind it, in their order. */
export async function rowsFrom(
  index: IndexStore,
  stream: StreamId,
  from: number,
  most: number,
): Promise<readonly RangeRow[]> {
  const entries = await index.entries(keyOf(stream, from), `${prefixOf(stream)}\uffff`, most)
  return entries.map(([key, value]) => ({ key, value, offset: offsetIn(key), layers: decodeLayers(value) }))
}

const offsetIn = (key: string): number => Number(key.slice(-16))

const pieceRanges = 64

/** Those of them that begin at one offset or between it and another. */
async function* rangesBetween(
  index: IndexStore,
  stream: StreamId,
  from: number,
  to: number,
): AsyncGenerator<NamedRange> {
  for (let start = keyOf(stream, from); ;) {
    const piece = await index.entries(start, keyOf(stream, to), pieceRanges)
    for (const row of piece) yield* decodeRow(row)
    const last = piece.at(-1)
    if (!last || piece.length < pieceRanges) return
    start = `${last[0]}\0`
  }
}

function* decodeRow([key, value]: readonly [string, string]): Generator<NamedRange, void, undefined> {
  const offset = offsetIn(key)
  if (isCount(offset)) for (const layer of decodeLayers(value)) yield { offset, ...layer }
}

/** What takes out of the index all that records say of a stream's file. */
export async function forgetShipped(index: IndexStore, stream: StreamId): Promise<IndexWrite[]> {
  const writes: IndexWrite[] = [beganKey, closedKey, endlessKey].map((key) => del(key(stream)))
  for await (const [key] of allUnder(index, prefixOf(stream))) writes.push(del(key))
  return writes
}
