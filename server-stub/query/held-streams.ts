import { limits } from '../../protocol/contract.ts'
import type { StreamQuery } from '../../protocol/query.ts'
import type { HeldStream, Range, Run } from '../../protocol/streams.ts'
import type { Catalog, RecordRow } from '../catalog/catalog.ts'
import type { Clock } from '../clock.ts'
import type { BlobKey } from '../store/blob-store.ts'
import { BlobEnds } from './blob-ends.ts'
import { breathing } from './breathing.ts'
import { layOut, stretches, type Layout } from './layout.ts'
import { loadRecord, type RecordSource } from './load-record.ts'

interface HeldParts extends RecordSource {
  readonly catalog: Catalog
  readonly clock: Clock
  /** No more than so many rows of records are looked at; the streams that would be more are left out. */
  readonly maxQueryRows: number
}

/** What is here of the newest streams of each path, as it stands at one moment. Stops early when the signal fires. */
export async function heldStreams(
  query: StreamQuery,
  parts: HeldParts,
  signal: AbortSignal,
): Promise<HeldStream[]> {
  const share = Math.floor(limits.maxAnswerStreams / query.paths.length)
  await using catalog = await parts.catalog.snapshot()
  const budget = new RowBudget(parts.maxQueryRows)
  const held: HeldStream[] = []
  for (const [place, path] of query.paths.entries()) {
    for (const row of await catalog.streamsAt(query.device, path, share)) {
      const records = budget.rows(breathing(catalog.recordsOf(row.device, row.stream), parts.clock, signal))
      const { run, closed } = await heldOf(records, parts)
      if (budget.isSpent || signal.aborted) return held
      held.push({ stream: row.stream, path: place, run, closed })
    }
  }
  return held
}

class RowBudget {
  #left: number

  constructor(rows: number) {
    this.#left = rows
  }

  /** What was given last is not all that is there. */
  get isSpent(): boolean {
    return this.#left < 0
  }

  async *rows(all: AsyncIterable<RecordRow>): AsyncGenerator<RecordRow, void, undefined> {
    for await (const row of all) {
      if (--this.#left < 0) return
      yield row
    }
  }
}

async function heldOf(
  records: AsyncIterable<RecordRow>,
  parts: RecordSource,
): Promise<Pick<HeldStream, 'run' | 'closed'>> {
  const blobs = new BlobEnds()
  const layout = await layOut(blobs.noting(records))
  const run = await readRun(intactRecords(layout, await blobs.lacking(parts.store)), parts)
  const { close, sinceClose } = layout
  const isClosed = close?.sha256 && close.length !== null && sinceClose === 'nothing'
  const closed = isClosed ? { length: close.length ?? 0, sha256: close.sha256 } : null
  return { run, closed }
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
