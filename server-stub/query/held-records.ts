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
  /** No more than so many bytes of records are read; those that would be are left out. */
  readonly maxReadBytes: number
}

/**
 * The entries of those records that are here. Nothing is said of a record that was not read again and found as it was
 * signed: the drone will forget its own copy.
 */
export async function heldRecords(query: RecordQuery, parts: HeldParts): Promise<ReceiptEntry[]> {
  const entries: ReceiptEntry[] = []
  let readBytes = 0
  for await (const name of breathing(query.records, parts.clock)) {
    const row = await rowOf(name, query, parts.catalog)
    if (!row || readBytes + row.at.bytes > parts.maxReadBytes) continue
    readBytes += row.at.bytes
    const { ok } = await loadRecord(row, parts)
    if (ok) entries.push(entryOf(row))
  }
  return entries
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
