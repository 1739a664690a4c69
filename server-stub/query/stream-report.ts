import { createHash } from 'node:crypto'
import { equalBytes, type Digest } from '../../protocol/ids.ts'
import type { KeyRing } from '../../protocol/verify.ts'
import type { Catalog, RecordRow, StreamRow } from '../catalog/catalog.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { layOut, stretches, type Gap, type Layout } from './layout.ts'
import { readStream } from './read-stream.ts'

export interface QueryParts {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly keys: KeyRing
}

export interface StreamReport {
  readonly stream: StreamRow
  /** How many bytes of its content are here. */
  readonly bytes: number
  readonly whole: boolean
  readonly missing: readonly Gap[]
  readonly lost: readonly Gap[]
  /** Records that were found damaged while the content of a closed stream was hashed. */
  readonly damaged: readonly Gap[]
  /** What closed it: the signed length and hash of the whole file. */
  readonly close: RecordRow | undefined
}

/** What is here of a stream. Where it is closed and nothing is missing, its hash is compared with the signed one. */
export async function reportStream(stream: StreamRow, parts: QueryParts): Promise<StreamReport> {
  const layout = await layOut(parts.catalog.recordsOf(stream.device, stream.stream))
  const gaps = [...stretches(layout)].flatMap((stretch) => (stretch.is === 'gap' ? [stretch.gap] : []))
  const missing = joined(gaps.filter(({ why }) => why === 'missing'))
  const lost = joined(gaps.filter(({ why }) => why === 'lost'))
  const content = gaps.length === 0 ? await checkContent(stream, layout, parts) : undefined
  const damaged = content?.damaged ?? []
  const whole = content?.agrees ?? false
  return { stream, bytes: bytesIn(layout), whole, missing, lost, damaged, close: layout.close }
}

interface ContentCheck {
  readonly agrees: boolean
  readonly damaged: readonly Gap[]
}

/** Reads a closed stream to compare its hash, once for each state of the stream. */
async function checkContent(stream: StreamRow, layout: Layout, parts: QueryParts): Promise<ContentCheck> {
  const { close, records, end } = layout
  if (!close?.sha256) return { agrees: true, damaged: [] }
  if (close.length !== end) return { agrees: false, damaged: [] }
  const kept = await parts.catalog.contentHash(stream.device, stream.stream)
  if (kept?.records === records) return { agrees: equalBytes(kept.sha256, close.sha256), damaged: [] }
  const { sha256, damaged } = await hashContent(layout, parts)
  if (damaged.length > 0) return { agrees: false, damaged }
  await parts.catalog.keepContentHash(stream.device, stream.stream, { records, sha256 })
  return { agrees: equalBytes(sha256, close.sha256), damaged }
}

async function hashContent(
  layout: Layout,
  parts: QueryParts,
): Promise<{ readonly sha256: Digest; readonly damaged: readonly Gap[] }> {
  const hash = createHash('sha256')
  const damaged: Gap[] = []
  for await (const piece of readStream(layout, parts)) {
    if (piece.is === 'bytes') hash.update(piece.bytes)
    else damaged.push(piece.gap)
  }
  return { sha256: hash.digest() as Uint8Array as Digest, damaged }
}

function bytesIn(layout: Layout): number {
  let bytes = 0
  for (const stretch of stretches(layout)) {
    if (stretch.is === 'data') bytes += stretch.span.to - stretch.span.from
  }
  return bytes
}

/** Gaps that touch and have one reason are one. */
function joined(gaps: readonly Gap[]): Gap[] {
  const result: Gap[] = []
  for (const gap of gaps) {
    const last = result.at(-1)
    if (last?.to === gap.from && last.detail === gap.detail) result.splice(-1, 1, { ...last, to: gap.to })
    else result.push(gap)
  }
  return result
}
