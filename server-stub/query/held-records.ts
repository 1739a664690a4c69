import { equalBytes } from '../../protocol/ids.ts'
import type { RecordName, RecordQuery } from '../../protocol/query.ts'
import type { ReceiptEntry } from '../../protocol/receipt.ts'
import type { Catalog, RecordRow } from '../catalog/catalog.ts'
import type { Clock } from '../clock.ts'
import { judge } from '../ingest/judge.ts'
import { breathing } from './breathing.ts'
import { loadRecord, type RecordSource } from './load-record.ts'

interface HeldParts extends RecordSource {
  readonly catalog: Catalog
  readonly clock: Clock
  /** No more than so many bytes are read and inflated; records that would be more are left out. */
  readonly maxReadBytes: number
}

/**
 * The entries of those records that are here. Nothing is said of a record that was not read again and found as it was
 * signed: the drone will forget its own copy. Stops early when the signal fires.
 */
export async function heldRecords(
  query: RecordQuery,
  parts: HeldParts,
  signal: AbortSignal,
): Promise<ReceiptEntry[]> {
  const entries: ReceiptEntry[] = []
  let readBytes = 0
  for await (const name of breathing(query.records, parts.clock, signal)) {
    const row = await rowOf(name, query, parts.catalog)
    if (!row || readBytes + costOf(row) > parts.maxReadBytes) continue
    readBytes += costOf(row)
    const { ok } = await loadRecord(row, parts)
    if (ok) entries.push(entryOf(row))
  }
  return entries
}

/** A few bytes on the disk may inflate to the longest chunk. */
function costOf({ kind, hasBody, length, at }: RecordRow): number {
  return kind === 'data' && hasBody ? Math.max(at.bytes, length ?? 0) : at.bytes
}

async function rowOf(
  { epoch, seq, digest }: RecordName,
  { device }: RecordQuery,
  catalog: Catalog,
): Promise<RecordRow | undefined> {
  const rows = await catalog.recordsAt(device, epoch, seq)
  return rows.find((row) => equalBytes(row.digest, digest))
}

/** What sending it again would be answered with. */
function entryOf(row: RecordRow): ReceiptEntry {
  const { epoch, seq, digest } = row
  return { place: { epoch, seq }, digest, outcome: judge(row, [row]).outcome }
}
