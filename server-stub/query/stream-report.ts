import { createHash } from 'node:crypto'
import { Fault } from '../../protocol/fault.ts'
import { equalBytes, type Digest } from '../../protocol/ids.ts'
import type { KeyRing } from '../../protocol/verify.ts'
import type { Catalog, RecordRow, StreamRow } from '../catalog/catalog.ts'
import type { BlobKey, BlobStore } from '../store/blob-store.ts'
import { BlobEnds, blobLacking } from './blob-ends.ts'
import { ContentProof } from './content-proof.ts'
import {
  layOut,
  stretches,
  whyEmpty,
  type Gap,
  type Layout,
  type SinceClose,
  type Stretch,
} from './layout.ts'
import type { RecordSource } from './load-record.ts'
import type { Span } from './overlay.ts'
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
  /** Whose blobs are gone or cut, or that were found damaged while the content of a closed stream was hashed. */
  readonly damaged: readonly Gap[]
  /** Bytes that are here, where what was written later is lost. None where the file's hash says that they are right. */
  readonly outdated: readonly Gap[]
  /** What closed it: the signed length and hash of the whole file. */
  readonly close: RecordRow | undefined
  readonly sinceClose: SinceClose
  /** Why it is not whole, where no range says it. */
  readonly why: string | undefined
}

/** What is here of a stream. Where it is closed and nothing is missing, its hash is compared with the signed one. */
export async function reportStream(stream: StreamRow, parts: QueryParts): Promise<StreamReport> {
  const proof = new ContentProof()
  const blobs = new BlobEnds()
  const records = parts.catalog.recordsOf(stream.device, stream.stream)
  const layout = await layOut(blobs.noting(proof.noting(records)))
  const lacking = await blobs.lacking(parts.store)
  const all = [...withoutBlobs(stretches(layout), lacking)]
  const gaps = all.flatMap((stretch) => (stretch.is === 'gap' ? [stretch.gap] : []))
  const of = (why: Gap['why']): Gap[] => joined(gaps.filter((gap) => gap.why === why))
  const common = {
    stream,
    bytes: bytesIn(all),
    missing: of('missing'),
    lost: of('lost'),
    close: layout.close,
    sinceClose: layout.sinceClose,
  }
  const outdated = joined(outdatedIn(all))
  if (gaps.length > 0) return { ...common, whole: false, damaged: of('damaged'), outdated, why: undefined }
  const check = whyEmpty(layout) ?? whyLacking(lacking) ?? (await checkContent(stream, layout, proof, parts))
  const damaged = typeof check === 'object' ? check : []
  const why = typeof check === 'string' ? check : undefined
  const isProven = check === undefined && layout.close !== undefined && layout.sinceClose === 'nothing'
  const doubtful = isProven ? [] : outdated
  const whole = check === undefined && doubtful.length === 0
  return { ...common, whole, damaged, outdated: doubtful, why }
}

/** Not every record has bytes of the content, as a close has none. */
function whyLacking({ size }: ReadonlySet<BlobKey>): string | undefined {
  return size > 0 ? `${size} of its blobs are not in the store` : undefined
}

const contentDiffers = 'not the content that was closed'
const changedSince = 'changed since it was closed'

/**
 * What is wrong: damaged ranges, or a reason. Reads a closed stream, once for each state of it in which all is well: all of
 * it, or, where the file grew since, what was closed. Of one that changed within that, no hash says what it should be.
 */
async function checkContent(
  stream: StreamRow,
  layout: Layout,
  proof: ContentProof,
  parts: QueryParts,
): Promise<readonly Gap[] | string | undefined> {
  const { close, endAtClose, sinceClose } = layout
  if (!close?.sha256) return undefined
  if (sinceClose === 'changed') return changedSince
  if (close.length !== endAtClose) return contentDiffers
  const known = await parts.catalog.contentProof(stream.device, stream.stream)
  const expected = proof.of(close.sha256)
  if (known && equalBytes(known, expected)) return undefined
  const { sha256, damaged } = await hashContent(layout, close.length, parts)
  if (damaged.length > 0) return damaged
  if (!equalBytes(sha256, close.sha256)) return contentDiffers
  await keepProof(stream, expected, parts)
  return undefined
}

/** It only spares to read again: on a disk that takes nothing it is not kept. */
async function keepProof(
  { device, stream }: StreamRow,
  proof: Digest,
  { catalog }: QueryParts,
): Promise<void> {
  try {
    await catalog.keepContentProof(device, stream, proof)
  } catch (error) {
    if (!(error instanceof Fault) || error.code === 'CATALOG_DAMAGED') throw error
  }
}

/** Of the first `length` bytes of a content without gaps; what is damaged anywhere in it. */
export async function hashContent(
  layout: Layout,
  length: number,
  parts: RecordSource,
): Promise<{ readonly sha256: Digest; readonly damaged: readonly Gap[] }> {
  const hash = createHash('sha256')
  const damaged: Gap[] = []
  let left = length
  for await (const piece of readStream(layout, parts)) {
    if (piece.is === 'gap') {
      damaged.push(piece.gap)
      continue
    }
    hash.update(piece.bytes.subarray(0, left))
    left = Math.max(0, left - piece.bytes.length)
  }
  return { sha256: hash.digest() as Uint8Array as Digest, damaged }
}

function outdatedIn(all: readonly Stretch[]): Gap[] {
  return all.flatMap((stretch) => (stretch.is === 'data' && stretch.outdated ? [stretch.outdated] : []))
}

function bytesIn(stretches: readonly Stretch[]): number {
  let bytes = 0
  for (const stretch of stretches) {
    if (stretch.is === 'data') bytes += stretch.span.to - stretch.span.from
  }
  return bytes
}

/** What stands in blobs that are not there as they should be is damaged. */
function* withoutBlobs(
  all: Iterable<Stretch>,
  lacking: ReadonlySet<BlobKey>,
): Generator<Stretch, void, undefined> {
  for (const stretch of all) {
    if (stretch.is === 'gap' || !lacking.has(stretch.span.record.at.blob)) yield stretch
    else yield { is: 'gap', gap: { ...rangeOf(stretch.span), why: 'damaged', detail: blobLacking } }
  }
}

const rangeOf = ({ from, to }: Span): Pick<Span, 'from' | 'to'> => ({ from, to })

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
