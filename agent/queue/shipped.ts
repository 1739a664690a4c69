import {
  base64url,
  digestBytes,
  equalBytes,
  isCount,
  parseBase64url,
  parseEpoch,
  parseSequence,
  type Digest,
  type StreamId,
} from '../../protocol/ids.ts'
import type { CloseManifest, DataManifest, LossManifest, Manifest } from '../../protocol/manifest.ts'
import { allUnder, del, put, type IndexStore, type IndexWrite } from './index-store.ts'
import { beganKey, closedKey, endlessKey, keys, placeText, type Place } from './index-entry.ts'
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

/**
 * What a record says of its file: what stands in a range, that this is lost, or that the file ends. A later record of the same
 * offset replaces the earlier one. `of` is the place of the one that held it before, where it was sealed anew.
 */
export function rangeWrites(manifest: Manifest, of?: Place): IndexWrite[] {
  const { key, value } = sayingOf(manifest, of)
  return [put(key, value)]
}

/** The same of a record that is found again. What a later one says stays, and what says the same was sealed anew. */
export async function foundWrites(
  index: Pick<IndexStore, 'get'>,
  manifest: Manifest,
): Promise<readonly IndexWrite[]> {
  const { key, value } = sayingOf(manifest)
  const known = parseObject((await index.get(key)) ?? '')
  const { at, of = at } = placesIn(known)
  if (at && isBehind(at, manifest)) return []
  const { length, sha256 } = parseObject(value)
  return rangeWrites(manifest, length === known['length'] && sha256 === known['sha256'] ? of : undefined)
}

function sayingOf(manifest: Manifest, of?: Place): { readonly key: string; readonly value: string } {
  const { kind, stream } = manifest
  const places = { at: numbersOf(manifest), ...(of ? { of: numbersOf(of) } : {}) }
  if (kind === 'close') return { key: closedKey(stream), value: JSON.stringify(places) }
  const { offset, length } = manifest
  if (length === null) return { key: endlessKey(stream), value: JSON.stringify(places) }
  const sha256 = kind === 'data' ? base64url(manifest.sha256) : null
  return { key: keyOf(stream, offset), value: JSON.stringify({ length, sha256, ...places }) }
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
  const { stream, length } = manifest
  const { at } = await placesUnder(index, closedKey(stream))
  if (at && isBehind(at, manifest)) return false
  if (isNews(await placesUnder(index, endlessKey(stream)), manifest)) return false
  for await (const range of namedRanges(index, stream)) {
    // What an agent before this one noted names no place.
    const goesOn = !range.at && range.offset + range.length > length
    if (goesOn || isNews(range, manifest)) return false
  }
  return true
}

function isNews({ at, of = at }: Places, than: Place): boolean {
  return of !== undefined && isBehind(of, than)
}

/** Where the first record stands that held this: the record itself, or what was sealed anew in its place. */
export async function firstPlaceOf(index: IndexStore, manifest: Manifest): Promise<Place> {
  const { epoch, seq } = manifest
  const { at, of } = await placesUnder(index, sayingOf(manifest).key)
  return at && of && placeText(at) === placeText(manifest) ? of : { epoch, seq }
}

/** Whether a later record says that bytes of this file are lost, nobody knows how many. */
export async function isSaidAgain(index: IndexStore, manifest: Manifest): Promise<boolean> {
  const { at } = await placesUnder(index, endlessKey(manifest.stream))
  return at !== undefined && isBehind(at, manifest)
}

async function placesUnder(index: IndexStore, key: string): Promise<Places> {
  return placesIn(parseObject((await index.get(key)) ?? ''))
}

function placesIn({ at, of }: Record<string, unknown>): Places {
  return { at: placeIn(at), of: placeIn(of) }
}

const isBehind = (place: Place, other: Place): boolean => placeText(place) > placeText(other)

/** The shipped ranges of a stream in the order of their offsets. */
export async function* shippedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<ShippedRange> {
  for await (const { offset, length, sha256 } of namedRanges(index, stream))
    if (sha256) yield { offset, length, sha256 }
}

interface Places {
  /** Of the record; undefined where an agent before this one noted it. */
  readonly at: Place | undefined
  /** Of the one that held it before, where it was sealed anew. */
  readonly of: Place | undefined
}

/** A range that a record names. */
export interface NamedRange extends Omit<ShippedRange, 'sha256'>, Places {
  /** null: it was lost. */
  readonly sha256: Digest | null
}

/** With those that are lost. */
export async function* namedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<NamedRange> {
  for await (const [key, value] of allUnder(index, prefixOf(stream))) {
    const range = decodeRange(key, value)
    if (range) yield range
  }
}

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
    for (const [key, value] of piece) {
      const range = decodeRange(key, value)
      if (range) yield range
    }
    const last = piece.at(-1)
    if (!last || piece.length < pieceRanges) return
    start = `${last[0]}\0`
  }
}

function decodeRange(key: string, value: string): NamedRange | undefined {
  const said = parseObject(value)
  const { length, sha256 } = said
  const offset = Number(key.slice(-16))
  const digest = typeof sha256 === 'string' ? parseBase64url(sha256, digestBytes) : undefined
  if (!isCount(offset) || !isCount(length) || (sha256 !== null && !digest)) return undefined
  return { offset, length, sha256: digest ? (digest as Digest) : null, ...placesIn(said) }
}

const numbersOf = ({ epoch, seq }: Place): number[] => [epoch, seq]

function placeIn(numbers: unknown): Place | undefined {
  const [first, second]: unknown[] = Array.isArray(numbers) ? numbers : []
  const [epoch, seq] = [parseEpoch(first), parseSequence(second)]
  return epoch === undefined || seq === undefined ? undefined : { epoch, seq }
}

/** What takes out of the index all that records say of a stream's file. */
export async function forgetShipped(index: IndexStore, stream: StreamId): Promise<IndexWrite[]> {
  const writes: IndexWrite[] = [beganKey, closedKey, endlessKey].map((key) => del(key(stream)))
  for await (const [key] of allUnder(index, prefixOf(stream))) writes.push(del(key))
  return writes
}
