import { encodeBody } from '../../protocol/body.ts'
import { limits } from '../../protocol/contract.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { SourceConfig } from '../source-config.ts'
import type { Files, OpenFile, Path } from '../world.ts'
import type { Arrival } from './arrival.ts'
import { stillHolds } from './evidence.ts'
import { findRenamed } from './find-bytes.ts'
import type { Hole } from './find-holes.ts'
import type { Queue } from './queue.ts'
import type { ResumePoint } from './resume-point.ts'

const pieceBytes = Math.min(1024 * 1024, limits.maxChunkBytes)

/**
 * Where records are gone from index and segments alike, what they held is read again from its file, if that still is the one
 * that was read, and shipped as new records; else a signed loss record says what is gone. Capture may run
 * meanwhile: where it goes on is not touched.
 */
export async function mendHoles(
  queue: Queue,
  files: Files,
  sourceOf: SourceOf,
  signal: AbortSignal,
): Promise<void> {
  for (const hole of queue.holes) {
    const point = queue.resumePoints.get(hole.stream)
    if (point && !signal.aborted) await mendHole(hole, point, labelled(point, sourceOf), queue, files, signal)
  }
  if (!signal.aborted) await queue.holesMended()
}

/** What the configuration says of the file at a path; undefined where no source is about it any more. */
type SourceOf = (path: Uint8Array) => Pick<SourceConfig, 'tags' | 'priority'> | undefined

type Labelled = Pick<Arrival, 'label' | 'lane' | 'resume'>

function labelled({ stream, path, place }: ResumePoint, sourceOf: SourceOf): Labelled {
  const source = sourceOf(logPathToBytes(place?.path ?? path)) ?? sourceOf(logPathToBytes(path))
  return {
    label: { stream, path, tags: source?.tags ?? new Map() },
    lane: source?.priority ?? 'normal',
    resume: 'stays',
  }
}

async function mendHole(
  hole: Hole,
  point: ResumePoint,
  labels: Labelled,
  queue: Queue,
  files: Files,
  signal: AbortSignal,
): Promise<void> {
  const end = hole.offset + hole.length
  let from = hole.offset
  for await (const bytes of readAgain(hole, point, queue, files, signal)) {
    const arrival = { kind: 'data', offset: from as ByteOffset, body: await encodeBody(bytes) } as const
    if (!(await queue.append({ ...arrival, ...labels }, signal))) return
    from += bytes.length
  }
  if (from === end || signal.aborted) return
  const loss = { kind: 'loss', offset: from as ByteOffset, length: end - from, reason: 'unreadable' } as const
  await queue.append({ ...loss, ...labels }, signal)
}

/** The bytes of a hole, in pieces, as far as the file still has them. */
async function* readAgain(
  hole: Hole,
  point: ResumePoint,
  queue: Queue,
  files: Files,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (point.evidence.length === 0) return
  const left = { offset: hole.offset, length: hole.length }
  for await (const path of placesOf(point, queue, files, signal)) {
    try {
      await using file = await files.openToRead(path)
      if (!(await stillHolds(file, point.evidence))) continue
      return yield* pieces(file, left)
    } catch {
      // Gone, or not readable: what is left of it is a loss, unless it is elsewhere.
    }
  }
}

/** Where the file was last seen, where a look finds it, and beside the former, told by its identity. */
async function* placesOf(
  { stream, path, place, identity }: ResumePoint,
  queue: Queue,
  files: Files,
  signal: AbortSignal,
): AsyncGenerator<Path> {
  const lastSeen = logPathToBytes(place?.path ?? path)
  yield lastSeen
  const followedAt = await queue.pathOf(stream, signal)
  if (followedAt) yield followedAt
  const beside = await findRenamed(files, lastSeen, identity)
  if (beside) yield beside
}

/** What is left of it, counting it off: where one file fails, another goes on behind. */
async function* pieces(file: OpenFile, left: { offset: number; length: number }): AsyncGenerator<Uint8Array> {
  while (left.length > 0) {
    const bytes = Buffer.allocUnsafe(Math.min(pieceBytes, left.length))
    const count = await file.read(bytes, left.offset)
    if (count === 0) return
    left.offset += count
    left.length -= count
    yield bytes.subarray(0, count)
  }
}
