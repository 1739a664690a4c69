import type { RecordRow } from '../catalog/catalog.ts'
import { stretches, type Gap, type Layout } from './layout.ts'
import { loadRecord, type Loaded, type RecordSource } from './load-record.ts'
import type { Span } from './overlay.ts'

export type Piece =
  | { readonly is: 'bytes'; readonly bytes: Uint8Array; readonly outdated?: Gap | undefined }
  | { readonly is: 'gap'; readonly gap: Gap }

/**
 * The bytes of a stream in their order, and every range that is not to be had. Each record is verified again before a
 * byte of it is given; one is in memory at a time.
 */
export async function* readStream(
  layout: Layout,
  source: RecordSource,
): AsyncGenerator<Piece, void, undefined> {
  const load = rememberingLast(source)
  for (const stretch of stretches(layout)) {
    if (stretch.is === 'gap') yield stretch
    else yield pieceOf(stretch.span, await load(stretch.span.record), stretch.outdated)
  }
}

function pieceOf({ from, to, record }: Span, loaded: Loaded, outdated: Gap | undefined): Piece {
  if (!loaded.ok || !loaded.record.content) {
    const why = loaded.ok ? 'it has no body' : loaded.why
    const detail = `record ${record.epoch}/${record.seq} in ${record.at.blob}: ${why}`
    return { is: 'gap', gap: { from, to, why: 'damaged', detail } }
  }
  const bytes = loaded.record.content.subarray(from - record.offset, to - record.offset)
  return { is: 'bytes', bytes, outdated }
}

/** A record that a later one overwrote in its middle is needed twice in a row. */
function rememberingLast(source: RecordSource): (row: RecordRow) => Promise<Loaded> {
  let last: { readonly row: RecordRow; readonly loaded: Loaded } | undefined
  return async (row) => {
    if (last?.row === row) return last.loaded
    last = undefined
    const loaded = await loadRecord(row, source)
    last = { row, loaded }
    return loaded
  }
}
