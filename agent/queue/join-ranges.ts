import { equalBytes, sha256, type Digest, type StreamId } from '../../protocol/ids.ts'
import { endOf, placeText, type Place } from './index-entry.ts'
import { del, put, type IndexStore } from './index-store.ts'
import type { Intake } from './intake.ts'
import type { OpenedQueue } from './open-queue.ts'
import type { Outflow } from './outflow.ts'
import { encodeLayers, isBehind, type Layer } from './range-layers.ts'
import { rowsFrom, type RangeRow } from './shipped.ts'

/** What stands in the file behind an offset: so many bytes, or fewer where it ends before. */
export type ReadRange = (offset: number, bytes: number) => Promise<Uint8Array>

export interface Joined {
  /** From where to go on. */
  readonly from: number
  /** Others may be to be joined now. */
  readonly isMore: boolean
}

interface Parts {
  readonly opened: OpenedQueue
  readonly intake: Intake
  readonly outflow: Outflow
}

/** One range of bytes, of which the index knows nothing else. */
interface Loose extends Pick<RangeRow, 'key' | 'value' | 'offset'> {
  readonly length: number
  readonly sha256: Digest
  readonly at: Place
}

type Run = readonly [Loose, ...Loose[]]

/** So long a range becomes, at most: it is shipped again as a whole where a byte of it has changed. */
const mostBytes = 64 * 1024
/** Rows that are looked at together. */
const pieceRows = 1000

/** As Queue.joinShipped. */
export async function joinShipped(
  stream: StreamId,
  from: number,
  read: ReadRange,
  parts: Parts,
): Promise<Joined> {
  const { opened, intake, outflow } = parts
  // What waits may be sealed anew, and then it counts what is newer.
  const waiting = opened.ledger.isWaiting(stream) ? await outflow.firstWaiting(endOf(intake.head)) : undefined
  const rows = await rowsFrom(opened.index, stream, from, pieceRows)
  const settled = rows.slice(0, firstAtOrBehind(rows, waiting))
  const [first, ...others] = firstRun(settled)
  if (first && others.length > 0) return joinRun([first, ...others], read, parts)
  const next = first ?? rows[settled.length] ?? rows.at(-1)
  return { from: next?.offset ?? from, isMore: settled.length === pieceRows }
}

function firstAtOrBehind(rows: readonly RangeRow[], place: string | undefined): number {
  if (place === undefined) return rows.length
  const first = rows.findIndex(({ layers }) => layers.some(({ at }) => at && placeText(at) >= place))
  return first < 0 ? rows.length : first
}

/** The first that can be joined, two or more; else the last alone, if others may be joined to it. */
function firstRun(rows: readonly RangeRow[]): readonly Loose[] {
  let run: Loose[] = []
  for (const row of rows) {
    const loose = looseIn(row)
    if (loose && canJoin(run, loose)) run.push(loose)
    else if (run.length > 1) return run
    else run = loose ? [loose] : []
  }
  return run
}

function looseIn({ key, value, offset, layers }: RangeRow): Loose | undefined {
  const [layer] = layers
  // What is beneath goes on behind it; and what was sealed anew is to be told from what is new.
  if (!layer?.sha256 || !layer.at || layer.of || layers.length > 1) return undefined
  return { key, value, offset, length: layer.length, sha256: layer.sha256, at: layer.at }
}

function canJoin(run: readonly Loose[], { offset, length }: Loose): boolean {
  const [first, last] = [run[0], run.at(-1)]
  if (!first || !last) return true
  return offset === last.offset + last.length && offset + length - first.offset <= mostBytes
}

async function joinRun(run: Run, read: ReadRange, { opened, intake, outflow }: Parts): Promise<Joined> {
  const [{ offset }, last] = [run[0], run.at(-1) ?? run[0]]
  const end = last.offset + last.length
  const hash = hashOf(run, await read(offset, end - offset))
  const layer = hash && { length: end - offset, sha256: hash, at: newestOf(run), of: undefined }
  if (!layer) return { from: end, isMore: true }
  // Nothing is said of the file meanwhile, and its stream does not end.
  const isJoined = await intake.between(() => outflow.inTurn(() => replace(run, layer, opened.index)))
  return { from: isJoined ? offset : end, isMore: true }
}

/** One that stands before others may have been written over since. */
function newestOf(run: Run): Place {
  return run.map(({ at }) => at).reduce((one, other) => (isBehind(other, one) ? other : one))
}

/** Of all of it; undefined where a part of it is not what was shipped. */
function hashOf(run: Run, bytes: Uint8Array): Digest | undefined {
  const start = run[0].offset
  const isAsShipped = run.every(({ offset, length, sha256: expected }) =>
    equalBytes(sha256(bytes.subarray(offset - start, offset - start + length)), expected),
  )
  return isAsShipped ? sha256(bytes) : undefined
}

/** Both or neither: one row for all of it, and the others gone. False where they are not as they were. */
async function replace(run: Run, layer: Layer, index: IndexStore): Promise<boolean> {
  const now = await index.getMany(run.map(({ key }) => key))
  if (run.some(({ value }, at) => value !== now[at])) return false
  const [first, ...others] = run
  await index.write([put(first.key, encodeLayers([layer])), ...others.map(({ key }) => del(key))])
  return true
}
