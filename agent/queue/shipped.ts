import {
  base64url,
  digestBytes,
  isCount,
  parseBase64url,
  type Digest,
  type StreamId,
} from '../../protocol/ids.ts'
import type { DataManifest } from '../../protocol/manifest.ts'
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

/** A later record of the same offset replaces the earlier one. */
export function shippedWrite({ stream, offset, length, sha256 }: DataManifest): IndexWrite {
  const key = `${prefixOf(stream)}${String(offset).padStart(16, '0')}`
  return put(key, JSON.stringify({ length, sha256: base64url(sha256) }))
}

/** The shipped ranges of a stream in the order of their offsets. */
export async function* shippedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<ShippedRange> {
  for await (const [key, value] of allUnder(index, prefixOf(stream))) {
    const range = decodeShipped(key, value)
    if (range) yield range
  }
}

function decodeShipped(key: string, value: string): ShippedRange | undefined {
  const { length, sha256 } = parseObject(value)
  const offset = Number(key.slice(-16))
  const digest = typeof sha256 === 'string' ? parseBase64url(sha256, digestBytes) : undefined
  return isCount(offset) && isCount(length) && digest
    ? { offset, length, sha256: digest as Digest }
    : undefined
}

/** What takes the shipped ranges of a stream out of the index. */
export async function forgetShipped(index: IndexStore, stream: StreamId): Promise<IndexWrite[]> {
  const writes: IndexWrite[] = [del(beganKey(stream))]
  for await (const [key] of allUnder(index, prefixOf(stream))) writes.push(del(key))
  return writes
}
