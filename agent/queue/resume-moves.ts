import { decodeBody } from '../../protocol/body.ts'
import type { ByteOffset, StreamId } from '../../protocol/ids.ts'
import type { DataManifest, Manifest } from '../../protocol/manifest.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { scanRecord } from '../../protocol/record.ts'
import { evidenceAfter } from './evidence.ts'
import { unknownIdentity, type Evidence, type ResumePoint } from './resume-point.ts'
import type { Extent, SegmentLog } from './segment-log.ts'

/** A data record whose bytes are evidence. */
interface Piece {
  readonly extent: Extent
  readonly offset: number
}

interface Move {
  readonly point: ResumePoint
  readonly first: Piece | undefined
  readonly last: Piece | undefined
}

/** Moves resume points on over records that are found in the segments, and makes those anew that were lost. */
export class ResumeMoves {
  readonly #points: ReadonlyMap<StreamId, ResumePoint>
  readonly #moves = new Map<StreamId, Move>()
  /** Of which `begun` was told. */
  readonly #told = new Set<StreamId>()

  constructor(points: ReadonlyMap<StreamId, ResumePoint>) {
    this.#points = points
  }

  /**
   * Over a record that the index knew nothing of. Where its stream's resume point is lost, that is made anew: from the start of
   * the file, because nobody knows which of the records before it had their receipts: what is read twice lands in its own place.
   * So large the file was, at least. Every record that is found is evidence, wherever it stands: the file that has this path now
   * may be another one.
   */
  restore(manifest: Manifest, extent: Extent): void {
    const { stream, path } = manifest
    const known = this.#points.get(stream)
    if (known) return this.#moveOver(known, manifest, extent)
    if (manifest.kind === 'close') return
    const point = { stream, path, identity: unknownIdentity, position: 0 as ByteOffset, evidence: [] }
    const before = this.#moves.get(stream) ?? { point, first: undefined, last: undefined }
    const { point: reached, ...after } = moved(before, manifest, extent)
    const seenBytes = Math.max(reached.seenBytes ?? 0, manifest.offset + (manifest.length ?? 0))
    const piece = pieceOf(manifest, extent)
    this.#moves.set(stream, {
      ...after,
      point: { ...reached, seenBytes },
      first: before.first ?? piece,
      last: piece ?? before.last,
    })
  }

  #moveOver(point: ResumePoint, manifest: Manifest, extent: Extent): void {
    const before = this.#moves.get(point.stream) ?? { point, first: undefined, last: undefined }
    this.#moves.set(point.stream, moved(before, manifest, extent))
  }

  /** A record that `restore` went over was none of the chain: what it held may be in no other. */
  takeBack({ stream, offset }: Pick<DataManifest, 'stream' | 'offset'>): void {
    const before = this.#moves.get(stream)
    if (!before || offset >= before.point.position) return
    this.#moves.set(stream, { ...before, point: { ...before.point, position: offset } })
  }

  /** The points as they stand after all of it, with the evidence that the records hold. */
  async moved(segments: SegmentLog): Promise<ResumePoint[]> {
    const points: ResumePoint[] = []
    for (const move of this.#moves.values()) points.push(await pointAfter(move, segments))
    return points
  }

  /** Those that have moved for the first time, as they stand now: an earlier position is safe, and no point at all is not. */
  async begun(segments: SegmentLog): Promise<ResumePoint[]> {
    const points: ResumePoint[] = []
    for (const [stream, move] of this.#moves) {
      if (!this.#told.has(stream)) points.push(await pointAfter(move, segments))
      this.#told.add(stream)
    }
    return points
  }
}

async function pointAfter({ point, first, last }: Move, segments: SegmentLog): Promise<ResumePoint> {
  let { evidence } = point
  if (evidence.length === 0 && first) evidence = await evidenceOf(first, evidence, segments)
  if (last) evidence = await evidenceOf(last, evidence, segments)
  return { ...point, evidence }
}

function moved({ point, first, last }: Move, manifest: Manifest, extent: Extent): Move {
  if (manifest.kind === 'close' || manifest.offset !== point.position) return { point, first, last }
  const position = (manifest.offset + (manifest.length ?? 0)) as ByteOffset
  const piece = pieceOf(manifest, extent)
  return { point: { ...point, position }, first: first ?? piece, last: piece ?? last }
}

function pieceOf(manifest: Manifest, extent: Extent): Piece | undefined {
  return manifest.kind === 'data' ? { extent, offset: manifest.offset } : undefined
}

async function evidenceOf(
  { extent, offset }: Piece,
  before: readonly Evidence[],
  segments: SegmentLog,
): Promise<readonly Evidence[]> {
  const bytes = Buffer.allocUnsafe(extent.length)
  const scan = (await segments.read(extent, bytes)) ? scanRecord(bytes) : undefined
  const manifest = scan?.is === 'whole' ? decodeManifest(scan.frame.envelope.payload) : undefined
  if (scan?.is !== 'whole' || !manifest?.ok || manifest.value.kind !== 'data') return before
  const content = scan.frame.body && decodeBody(manifest.value, scan.frame.body)
  return content?.ok ? evidenceAfter(before, offset, content.value) : before
}
