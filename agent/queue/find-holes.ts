import { isCount, type StreamId } from '../../protocol/ids.ts'
import { beganKey } from './index-entry.ts'
import type { IndexStore } from './index-store.ts'
import type { ResumePoint } from './resume-point.ts'
import { namedRanges } from './shipped.ts'

/** Bytes of a stream that were read, and of which no record is known. */
export interface Hole {
  readonly stream: StreamId
  readonly offset: number
  readonly length: number
}

/** What was read of the streams that go on, and is neither in their records nor named as lost, as far as their ranges tell. */
export async function findHoles(
  index: IndexStore,
  resumePoints: ReadonlyMap<StreamId, ResumePoint>,
): Promise<Hole[]> {
  const holes: Hole[] = []
  for (const { stream, position } of resumePoints.values())
    holes.push(...(await holesOf(index, stream, position)))
  return holes
}

async function holesOf(index: IndexStore, stream: StreamId, position: number): Promise<Hole[]> {
  // Where it is not known where the stream began, nothing is known to be missing before its first range.
  return unnamedRanges(index, stream, await beganAt(index, stream), position)
}

/**
 * What no record of the stream names between two offsets. Of a stream whose resume point was lost and made anew, what stood before
 * the first record that is left had its receipt, as far as anybody knows.
 */
export async function unnamedBetween(
  index: IndexStore,
  stream: StreamId,
  from: number,
  to: number,
): Promise<Hole[]> {
  if (from > 0 || (await beganAt(index, stream)) !== undefined) return unnamedRanges(index, stream, from, to)
  for await (const first of namedRanges(index, stream)) return unnamedRanges(index, stream, first.offset, to)
  return [{ stream, offset: from, length: to - from }]
}

/** What no record names between two offsets; undefined: from the first range on. */
async function unnamedRanges(
  index: IndexStore,
  stream: StreamId,
  from: number | undefined,
  to: number,
): Promise<Hole[]> {
  const holes: Hole[] = []
  let covered = from
  const note = (end: number): void => {
    if (covered !== undefined && covered < end) holes.push({ stream, offset: covered, length: end - covered })
  }
  for await (const { offset, length } of namedRanges(index, stream)) {
    if (offset >= to) break
    note(offset)
    covered = Math.max(covered ?? offset, offset + length)
  }
  note(to)
  return holes
}

async function beganAt(index: IndexStore, stream: StreamId): Promise<number | undefined> {
  const text = await index.get(beganKey(stream))
  const offset = text === undefined ? undefined : Number(text)
  return isCount(offset) ? offset : undefined
}
