import { equalBytes, sha256 } from '../../protocol/ids.ts'
import type { OpenFile } from '../world.ts'
import type { Evidence } from './resume-point.ts'

/** Of the head of a file, and of the last bytes read of it. */
const rangeBytes = 1024

/** What proves, once these bytes are shipped, that a file is still the one that was read: its head and their end. */
export function evidenceAfter(before: readonly Evidence[], offset: number, bytes: Uint8Array): Evidence[] {
  const start = Math.max(0, bytes.length - rangeBytes)
  const last = evidenceOf(offset + start, bytes.subarray(start))
  const head = start === 0 ? last : evidenceOf(offset, bytes.subarray(0, rangeBytes))
  return [before[0] ?? head, last]
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
  return { offset, length: bytes.length, sha256: sha256(bytes) }
}

/** Whether the file still has every one of these ranges. */
export async function stillHolds(file: OpenFile, evidence: readonly Evidence[]): Promise<boolean> {
  for (const range of evidence) {
    const bytes = Buffer.allocUnsafe(range.length)
    const count = await file.read(bytes, range.offset)
    if (count < range.length || !equalBytes(sha256(bytes), range.sha256)) return false
  }
  return true
}
