import { equalBytes } from '../../protocol/ids.ts'
import type { StreamRow } from '../catalog/catalog.ts'
import { findingAt, type Finding } from './finding.ts'
import { layOut, stretches } from './layout.ts'
import { hashContent, type QueryParts } from './stream-report.ts'

/**
 * Whether a closed stream has the content that it was closed with, read again whatever the catalog remembers of it.
 * Bytes that the drone signed as lost excuse it, and so does what was written into it after; damaged records are told
 * elsewhere.
 */
export async function* auditContent(
  { device, stream }: StreamRow,
  parts: QueryParts,
): AsyncGenerator<Finding, void, undefined> {
  const layout = await layOut(parts.catalog.recordsOf(device, stream))
  const { close, endAtClose, sinceClose } = layout
  if (!close?.sha256 || close.length === null || sinceClose === 'changed') return
  const all = [...stretches(layout)]
  const gaps = all.flatMap((stretch) => (stretch.is === 'gap' ? [stretch.gap] : []))
  for (const { from, to } of gaps.filter(({ why }) => why === 'missing')) {
    yield findingAt('CONTENT_WRONG', close, `bytes ${from} to ${to} of the closed file are in no record`)
  }
  if (gaps.length > 0) return
  if (close.length !== endAtClose) {
    yield findingAt(
      'CONTENT_WRONG',
      close,
      `the file was closed with ${close.length} bytes, and there were ${endAtClose}`,
    )
    return
  }
  if (all.some((stretch) => stretch.is === 'data' && stretch.outdated)) return
  const { sha256, damaged } = await hashContent(layout, close.length, parts)
  if (damaged.length > 0 || equalBytes(sha256, close.sha256)) return
  yield findingAt('CONTENT_WRONG', close, 'the content does not have the hash that the file was closed with')
}
