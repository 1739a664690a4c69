import { createHash, type Hash } from 'node:crypto'
import {
  base64url,
  digestBytes,
  equalBytes,
  isCount,
  parseBase64url,
  sha256,
  type Digest,
  type StreamId,
} from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { allUnder, del, put, type IndexStore, type IndexWrite } from './index-store.ts'
import { beganKey, keys } from './index-entry.ts'
import { parseObject } from './resume-point.ts'

/** A range of a file that was sealed, and the hash of its bytes then. */
export interface ShippedRange {
  readonly offset: number
  readonly length: number
  readonly sha256: Digest
  /** Several ranges in one: how long each was; the hash is that of their hashes. */
  readonly parts?: readonly number[]
}

/** So much of a file becomes one range once it is behind the writer, where it was shipped in several. */
const blockBytes = 16 * 1024
const offsetDigits = 16
/** At the end of the key of several ranges in one, so that none of one of them comes in its place. */
const joinedMark = '+'

const prefixOf = (stream: StreamId): string => `${keys.shipped}${stream}/`
const keyOf = (stream: StreamId, offset: number): string =>
  `${prefixOf(stream)}${String(offset).padStart(offsetDigits, '0')}`

/**
 * What a record says of a range of its file: what stands there, or that it is lost. A later record of the same offset replaces
 * the earlier one.
 */
export function rangeWrites(manifest: Manifest): IndexWrite[] {
  if (manifest.kind === 'close' || manifest.length === null) return []
  const { stream, offset, length } = manifest
  const digest = manifest.kind === 'data' ? base64url(manifest.sha256) : null
  return [put(keyOf(stream, offset), JSON.stringify({ length, sha256: digest }))]
}

/**
 * What makes one range of several small ones, so that a log that grows by a line at a time has not one for each line. To be
 * written before the ranges of these manifests: where one of them leaves a block of the file, the block before is complete.
 */
export async function joinWrites(manifests: readonly Manifest[], index: IndexStore): Promise<IndexWrite[]> {
  const writes: IndexWrite[] = []
  for (const manifest of manifests) {
    if (manifest.kind !== 'data' || manifest.length >= blockBytes) continue
    const { stream, offset, length } = manifest
    const from = offset - (offset % blockBytes) - blockBytes
    const isLeaving = (offset % blockBytes) + length >= blockBytes
    if (isLeaving && from >= 0) writes.push(...(await joinBlock(stream, from, index)))
  }
  return writes
}

async function joinBlock(stream: StreamId, from: number, index: IndexStore): Promise<IndexWrite[]> {
  const end = from + blockBytes
  const rows = await index.entries(keyOf(stream, from), keyOf(stream, end), blockBytes)
  const ranges = rows.flatMap(([key, value]) => decodeRange(key, value) ?? [])
  // One that says less than a hash of its own stays as it is, and so do those beside it.
  const isSimple = ranges.length === rows.length && ranges.every(({ sha256, parts }) => sha256 && !parts)
  const whole = ranges.filter(({ offset, length }) => offset + length <= end)
  const [first] = whole
  if (!isSimple || !first || whole.length < 2 || !isSeamless(whole)) return []
  const parts = whole.map(({ length }) => length)
  const length = parts.reduce((sum, part) => sum + part, 0)
  const joined = {
    length,
    parts,
    sha256: base64url(digestOfAll(whole.flatMap(({ sha256 }) => sha256 ?? []))),
  }
  return [
    ...whole.map(({ offset }) => del(keyOf(stream, offset))),
    put(`${keyOf(stream, first.offset)}${joinedMark}`, JSON.stringify(joined)),
  ]
}

function isSeamless(ranges: readonly NamedRange[]): boolean {
  return ranges.every(({ offset }, index) => {
    const before = ranges[index - 1]
    return !before || before.offset + before.length === offset
  })
}

function digestOfAll(digests: readonly Digest[]): Digest {
  return sha256(Buffer.concat(digests))
}

/** Hashes the bytes of a shipped range, in pieces of any size. */
export class RangeHash {
  readonly #ends: number[]
  readonly #digests: Digest[] = []
  #hash: Hash = createHash('sha256')
  #length = 0

  /** `parts` as the range has them. */
  constructor(parts: readonly number[] = []) {
    let end = 0
    this.#ends = parts.map((length) => (end += length))
  }

  update(bytes: Uint8Array): void {
    let rest = bytes
    for (let left = this.#leftOfPart; rest.length >= left; left = this.#leftOfPart) {
      this.#take(rest.subarray(0, left))
      this.#digests.push(this.#hash.digest() as Uint8Array as Digest)
      this.#hash = createHash('sha256')
      rest = rest.subarray(left)
    }
    this.#take(rest)
  }

  get #leftOfPart(): number {
    return (this.#ends[this.#digests.length] ?? Infinity) - this.#length
  }

  #take(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#length += bytes.length
  }

  /** To be called once. */
  digest(): Digest {
    if (this.#ends.length > 0) return digestOfAll(this.#digests)
    return this.#hash.digest() as Uint8Array as Digest
  }
}

/** Whether other bytes were shipped since of all that this record holds, as far as its stream's ranges tell. */
export async function isSuperseded(index: IndexStore, manifest: Manifest): Promise<boolean> {
  if (manifest.kind !== 'data') return false
  const key = keyOf(manifest.stream, manifest.offset)
  const range = decodeRange(key, (await index.get(key)) ?? '')
  if (!range?.sha256 || range.length < manifest.length) return false
  return !equalBytes(range.sha256, manifest.sha256)
}

/** The shipped ranges of a stream in the order of their offsets. */
export async function* shippedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<ShippedRange> {
  for await (const { sha256: digest, ...range } of namedRanges(index, stream))
    if (digest) yield { ...range, sha256: digest }
}

/** A range that a record names. */
export interface NamedRange extends Omit<ShippedRange, 'sha256'> {
  /** null: it was lost. */
  readonly sha256: Digest | null
}

/** With those that are lost. */
export async function* namedRanges(index: IndexStore, stream: StreamId): AsyncGenerator<NamedRange> {
  let before: NamedRange | undefined
  for await (const [key, value] of allUnder(index, prefixOf(stream))) {
    const range = decodeRange(key, value)
    // Shipped again since it was joined: one of its parts would be as long as the first of them.
    const isReplaced = range?.parts && range.offset === before?.offset && range.parts[0] !== before.length
    if (!range || isReplaced) continue
    before = range
    yield range
  }
}

function decodeRange(key: string, value: string): NamedRange | undefined {
  const { length, sha256: text, parts } = parseObject(value)
  const at = key.lastIndexOf('/') + 1
  const offset = Number(key.slice(at, at + offsetDigits))
  const digest = typeof text === 'string' ? parseBase64url(text, digestBytes) : undefined
  if (!isCount(offset) || !isCount(length) || (text !== null && !digest)) return undefined
  const joined = Array.isArray(parts) && parts.every(isCount) ? { parts } : {}
  return { offset, length, sha256: digest ? (digest as Digest) : null, ...joined }
}

/** What takes the ranges of a stream out of the index. */
export async function forgetShipped(index: IndexStore, stream: StreamId): Promise<IndexWrite[]> {
  const writes: IndexWrite[] = [del(beganKey(stream))]
  for await (const [key] of allUnder(index, prefixOf(stream))) writes.push(del(key))
  return writes
}
