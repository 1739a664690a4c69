import {
  base64url,
  digestBytes,
  equalBytes,
  isCount,
  parseBase64url,
  type Digest,
  type StreamId,
} from '../../protocol/ids.ts'
import type { DataManifest, Manifest } from '../../protocol/manifest.ts'
import { allUnder, del, put, type IndexStore, type IndexWrite } from './index-store.ts'
import { beganKey, keys } from './index-entry.ts'
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
 * What a record says of a range of its file: what stands there, or that it is lost. A later record of the same offset replaces
 * the earlier one.
 */
export function rangeWrites(manifest: Manifest): IndexWrite[] {
  if (manifest.kind === 'close' || manifest.length === null) return []
  const { stream, offset, length } = manifest
  const key = keyOf(stream, offset)
  const sha256 = manifest.kind === 'data' ? base64url(manifest.sha256) : null
  return [put(key, JSON.stringify({ length, sha256 }))]
}

/** Whether other bytes were shipped since of all that this record holds, as far as its stream's ranges tell. */
export async function isSuperseded(index: IndexStore, manifest: DataManifest): Promise<boolean> {
  const key = keyOf(manifest.stream, manifest.offset)
  const range = decodeRange(key, (await index.get(key)) ?? '')
  if (!range?.sha256 || range.length < manifest.length) return false
  return !equalBytes(range.sha256, manifest.sha256)
}

/** The shipped ranges of a stream in the order of their offsets. */
export async function* shippedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<ShippedRange> {
  for await (const { offset, length, sha256 } of namedRanges(index, stream))
    if (sha256) yield { offset, length, sha256 }
}

/** A range that a record names. */
export interface NamedRange extends Omit<ShippedRange, 'sha256'> {
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

function decodeRange(key: string, value: string): NamedRange | undefined {
  const { length, sha256 } = parseObject(value)
  const offset = Number(key.slice(-16))
  const digest = typeof sha256 === 'string' ? parseBase64url(sha256, digestBytes) : undefined
  if (!isCount(offset) || !isCount(length) || (sha256 !== null && !digest)) return undefined
  return { offset, length, sha256: digest ? (digest as Digest) : null }
}

/** What takes the ranges of a stream out of the index. */
export async function forgetShipped(index: IndexStore, stream: StreamId): Promise<IndexWrite[]> {
  const writes: IndexWrite[] = [del(beganKey(stream))]
  for await (const [key] of allUnder(index, prefixOf(stream))) writes.push(del(key))
  return writes
}
