import { limits } from '../../protocol/contract.ts'
import { equalBytes } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { StreamQuery } from '../../protocol/query.ts'
import type { HeldStream, Range, Run } from '../../protocol/streams.ts'
import type { Catalog, RecordRow, StreamRow } from '../catalog/catalog.ts'
import type { Clock } from '../clock.ts'
import type { BlobKey } from '../store/blob-store.ts'
import { BlobEnds } from './blob-ends.ts'
import { breathing } from './breathing.ts'
import { layOut, stretches, type Layout } from './layout.ts'
import { loadRecord, type RecordSource } from './load-record.ts'

interface HeldParts extends RecordSource {
  readonly catalog: Catalog
  readonly clock: Clock
}

/** What is here of the newest streams of each path, as it stands at one moment. */
export async function heldStreams(query: StreamQuery, parts: HeldParts): Promise<HeldStream[]> {
  const share = Math.floor(limits.maxAnswerStreams / query.paths.length)
  await using catalog = await parts.catalog.snapshot()
  const rows = await catalog.streamsAt(query.device, query.paths, share)
  const held: HeldStream[] = []
  for (const row of rows) held.push(await heldStream(row, placeOf(row, query), { ...parts, catalog }))
  return held
}

function placeOf({ path }: StreamRow, { paths }: StreamQuery): number {
  return paths.findIndex((asked) => equalBytes(logPathToBytes(asked), logPathToBytes(path)))
}

async function heldStream(row: StreamRow, path: number, parts: HeldParts): Promise<HeldStream> {
  const blobs = new BlobEnds()
  const records = breathing(parts.catalog.recordsOf(row.device, row.stream), parts.clock)
  const layout = await layOut(blobs.noting(records))
  const run = await readRun(intactRecords(layout, await blobs.lacking(parts.store)), parts)
  const { close, sinceClose } = layout
  const isClosed = close?.sha256 && close.length !== null && sinceClose === 'nothing'
  const closed = isClosed ? { length: close.length ?? 0, sha256: close.sha256 } : null
  return { stream: row.stream, path, run, closed }
}

/**
 * The records that stand as they were brought in the first stretch without a gap: a range that was partly overwritten has
 * no hash of its own any more.
 */
function intactRecords(layout: Layout, lacking: ReadonlySet<BlobKey>): RecordRow[] {
  const intact: RecordRow[] = []
  let position: number | undefined
  for (const stretch of stretches(layout)) {
    const isHere = stretch.is === 'data' && !stretch.outdated && !lacking.has(stretch.span.record.at.blob)
    if (!isHere && position === undefined) continue
    if (!isHere) break
    const { from, to, record } = stretch.span
    if (from === record.offset && to === from + (record.length ?? 0)) intact.push(record)
    position = to
  }
  return intact
}

/** Null where the first of them cannot be read as it was signed. */
async function readRun(intact: readonly RecordRow[], parts: RecordSource): Promise<Run | null> {
  const [firstRow] = intact
  const lastRow = intact.at(-1)
  const first = firstRow && (await rangeOf(firstRow, parts))
  if (!first) return null
  const last = lastRow && (await rangeOf(lastRow, parts))
  return { first, last: last ?? first }
}

async function rangeOf(row: RecordRow, parts: RecordSource): Promise<Range | undefined> {
  const loaded = await loadRecord(row, parts)
  if (!loaded.ok || loaded.record.manifest.kind !== 'data') return undefined
  const { offset, length, sha256 } = loaded.record.manifest
  return { offset, length, sha256 }
}
