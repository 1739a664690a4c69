import { base64url, sha256 } from '../../protocol/ids.ts'
import type { OpenFile } from '../world.ts'
import type { Evidence } from './resume-point.ts'

/** Of the head of a file, and of the last bytes read of it. */
const rangeBytes = 1024
/** A range that is shorter proves little: many files have a newline there. */
const firmBytes = 256

/**
 * What proves, once these bytes are shipped, that a file is still the one that was read: its head and their end, and where
 * that is short, the longest of the ends before.
 */
export function evidenceAfter(before: readonly Evidence[], offset: number, bytes: Uint8Array): Evidence[] {
  const start = Math.max(0, bytes.length - rangeBytes)
  const last = evidenceOf(offset + start, bytes.subarray(start))
  const head = start === 0 ? last : evidenceOf(offset, bytes.subarray(0, rangeBytes))
  const [first = head] = before
  const firm = last.length < firmBytes ? before.slice(1).findLast(isLongest) : undefined
  return firm && firm !== first && firm.length > last.length ? [first, firm, last] : [first, last]
}

function isLongest({ length }: Evidence, _index: number, all: readonly Evidence[]): boolean {
  return all.every((other) => other.length <= length)
}

/** Of the evidence as much as proves the end of what was read. */
export function lastEvidence(evidence: readonly Evidence[]): readonly Evidence[] {
  let bytes = 0
  const from = evidence.findLastIndex(({ length }) => (bytes += length) >= firmBytes)
  return evidence.slice(Math.max(0, from))
}

/** The evidence of a file of which everything before `position` counts as read. */
export async function evidenceAt(file: OpenFile, position: number): Promise<Evidence[]> {
  if (position === 0) return []
  const head = Buffer.alloc(Math.min(rangeBytes, position))
  const last = Buffer.alloc(head.length)
  await file.read(head, 0)
  await file.read(last, position - last.length)
  return [evidenceOf(0, head), evidenceOf(position - last.length, last)]
}

/** The same ranges, of those that lie in these bytes the new hash. */
export function evidenceRenewed(before: readonly Evidence[], offset: number, bytes: Uint8Array): Evidence[] {
  return before.map((range) => {
    const from = range.offset - offset
    const isInside = from >= 0 && from + range.length <= bytes.length
    return isInside ? evidenceOf(range.offset, bytes.subarray(from, from + range.length)) : range
  })
}

function evidenceOf(offset: number, bytes: Uint8Array): Evidence {
  return { offset, length: bytes.length, sha256: hashOf(bytes) }
}

function hashOf(bytes: Uint8Array): string {
  return base64url(sha256(bytes))
}

/** Whether the file still has every one of these ranges. */
export async function stillHolds(file: OpenFile, evidence: readonly Evidence[]): Promise<boolean> {
  for (const range of evidence) {
    const bytes = Buffer.allocUnsafe(range.length)
    const count = await file.read(bytes, range.offset)
    if (count < range.length || hashOf(bytes) !== range.sha256) return false
  }
  return true
}
