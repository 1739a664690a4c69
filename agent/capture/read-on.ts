import { equalBytes } from '../../protocol/ids.ts'
import type { Clock } from '../clock.ts'
import { lastEvidence } from '../queue/evidence.ts'
import type { FileFacts, OpenFile } from '../world.ts'
import type { Chunker } from './chunker.ts'
import type { Generation } from './generation.ts'
import { isReadError } from './read-error.ts'
import { factsOf } from './second-look.ts'

/** What a look at a growing file found. */
export type Slice =
  /** Bytes were read into the chunker; `isEnd`: they were the last. */
  | { readonly is: 'bytes'; readonly isEnd: boolean }
  /** Everything that can be had has been read. */
  | { readonly is: 'end' }
  /** What was read is no longer there: this generation is over. */
  | { readonly is: 'over'; readonly why: 'truncated' | 'overwritten' }
  /** The disk cannot read what comes next. */
  | { readonly is: 'unreadable'; readonly cause: unknown }

const pageBytes = 4096
/** Of the last bytes read that are compared with the file. */
const proofBytes = 256

/** Reads what comes next, and makes sure that it still comes behind what was read before. */
export async function readOn(
  generation: Generation,
  file: OpenFile,
  chunker: Chunker,
  clock: Clock,
  signal: AbortSignal,
): Promise<Slice> {
  const room = await chunker.room(generation.size - generation.readTo, signal)
  if (room.length === 0) return signal.aborted ? { is: 'end' } : { is: 'bytes', isEnd: false }
  const into = room.subarray(0, Math.max(0, generation.endsAt - generation.readTo))
  if (into.length === 0) return { is: 'over', why: 'truncated' }
  const read = await readSome(file, into, generation.readTo)
  if (!read.ok) return { is: 'unreadable', cause: read.cause }
  const { size, endsAt } = generation
  // A look may have found meanwhile that it ends before.
  const count = Math.min(read.count, Math.max(0, endsAt - generation.readTo))
  // Looked at after the read: a truncation before it shows in the size, or has taken the last bytes along.
  const facts = await factsOf(file, size, clock, signal)
  if (facts.size < Math.min(size, endsAt)) return shrunk(generation, file, facts)
  if (count > 0 && !(await isContinued(generation, file, facts.size)))
    return overOf(generation, await file.facts())
  chunker.took(count, clock.monotonicMs())
  generation.took(count)
  if (count === into.length) return { is: 'bytes', isEnd: false }
  return (await explain(generation, file, facts, count, clock)) ?? sliceOf(generation, count)
}

/** A size may promise more than can be read (sysfs, FUSE, a stale one on NFS): the next look gives it another turn. */
function sliceOf({ readTo, size }: Generation, count: number): Slice {
  return count === 0 ? { is: 'end' } : { is: 'bytes', isEnd: readTo >= size }
}

type Read = { readonly ok: true; readonly count: number } | { readonly ok: false; readonly cause: unknown }

/** Of a read that fails because of one page, what stands before that page is still to be had. */
async function readSome(file: OpenFile, into: Uint8Array, at: number): Promise<Read> {
  const page = into.subarray(0, pageBytes - (at % pageBytes))
  for (const room of [into, page]) {
    try {
      return { ok: true, count: await file.read(room, at) }
    } catch (cause) {
      if (!isReadError(cause)) throw cause
      if (room === page) return { ok: false, cause }
    }
  }
  return { ok: true, count: 0 }
}

/** Where, from `from` on, the file can be read; looks no further than `most` bytes. `from` itself where it can by now. */
export async function endOfUnreadable(
  file: OpenFile,
  from: number,
  size: number,
  most: number,
): Promise<number> {
  const probe = new Uint8Array(1)
  const end = Math.min(size, from + most)
  let at = from
  while (at < end && !(await readSome(file, probe, at)).ok)
    at = Math.min(end, at - (at % pageBytes) + pageBytes)
  return at
}

/** Whether text that was read still stands before what comes next. A binary file may be written to in place. */
async function isContinued(generation: Generation, file: OpenFile, sizeNow: number): Promise<boolean> {
  if (!generation.isText) return true
  const { size, readTo, endsAt } = generation
  const isIntact = await hasLastBytes(generation, file)
  // Of a file of which nothing was read before, nothing says that the size of now is the one of these bytes.
  const isOwn = readTo > 0 && endsAt === Infinity
  if (isIntact) generation.proved(isOwn ? Math.max(size, sizeNow) : size)
  return isIntact
}

/** Whether the last bytes that were read of the file are in it, as far as the disk can tell. */
export async function hasLastBytes(generation: Generation, file: OpenFile): Promise<boolean> {
  const { chunker, readTo } = generation
  const last = chunker?.lastBytes(proofBytes) ?? new Uint8Array(0)
  if (last.length < proofBytes && !(await hasLastShipped(generation, file))) return false
  if (last.length === 0) return true
  const now = new Uint8Array(last.length)
  const holds = await generation.witness.ask(async () => {
    const count = await file.read(now, readTo - last.length)
    return count === last.length && equalBytes(now, last)
  })
  return holds ?? true
}

/** Where its last bytes cannot be read, its head has to do. */
async function hasLastShipped({ witness, evidence }: Generation, file: OpenFile): Promise<boolean> {
  const says = await witness.says(file, lastEvidence(evidence))
  return (says === 'silent' ? await witness.says(file, evidence) : says) !== 'differs'
}

function overOf(generation: Generation, facts: FileFacts): Slice {
  return { is: 'over', why: facts.size < generation.size ? 'truncated' : 'overwritten' }
}

/** At the end of the file: whether it is the same file still. undefined: it is. */
async function explain(
  generation: Generation,
  file: OpenFile,
  facts: FileFacts,
  count: number,
  clock: Clock,
): Promise<Slice | undefined> {
  const isTickOver = generation.isTickOver(facts, clock.monotonicMs())
  if (count === 0 && isUnexplained(generation, facts) && !(await isStillIt(generation, file, facts)))
    return { is: 'over', why: 'overwritten' }
  if (count === 0 && isTickOver) generation.isInTick = false
  // Why nothing but the time of change moved, the next look knows: a new name, mode or link.
  if (count > 0 || !isOnlyTouched(generation.facts, facts)) generation.note(facts, clock.monotonicMs())
  return undefined
}

/**
 * What was cut off behind what was read is gone; what is left before it is read first, and nothing that comes there later.
 * Of a file of which nothing was read, nobody can say that what stands in it was there before.
 */
async function shrunk(generation: Generation, file: OpenFile, facts: FileFacts): Promise<Slice> {
  const { size } = generation
  if (!(await isPartLeft(generation, file, facts.size))) return { is: 'over', why: 'truncated' }
  if (generation.endsAt === Infinity) generation.proved(size)
  generation.endsAt = facts.size
  return { is: 'bytes', isEnd: false }
}

/** Whether some of it that was not read yet still stands in its file, which was cut to this size. */
export async function isPartLeft(generation: Generation, file: OpenFile, size: number): Promise<boolean> {
  const { readTo } = generation
  return readTo > 0 && size > readTo && (await hasLastBytes(generation, file))
}

/** Something about the file changed, and no byte, as far as its times tell. */
export function isOnlyTouched(before: FileFacts, now: FileFacts): boolean {
  const isSame = now.size === before.size && now.modifiedNs === before.modifiedNs
  return isSame && now.changedNs !== before.changedNs
}

/** It was written to, or changed otherwise, as far as its times tell, and did not grow. */
function isUnexplained({ facts: before, readTo, isInTick }: Generation, now: FileFacts): boolean {
  const isChanged = now.modifiedNs !== before.modifiedNs || now.changedNs !== before.changedNs
  return now.size <= readTo && (isInTick || isChanged)
}

async function isStillIt(generation: Generation, file: OpenFile, facts: FileFacts): Promise<boolean> {
  if (facts.modifiedNs !== generation.facts.modifiedNs) generation.isSuspect = true
  if (!generation.isText) return true
  const says = await generation.witness.says(file, generation.evidence)
  return says !== 'differs' && (await hasLastBytes(generation, file))
}

/** Whether it still is the file that was read, where its inode may be another's by now. */
export async function isBeyondDoubt(generation: Generation, file: OpenFile): Promise<boolean> {
  const { doubt, witness, evidence } = generation
  if (doubt === 'none') return true
  const isAlike = doubt === 'end' || (await witness.says(file, evidence)) !== 'differs'
  if (!isAlike || !(await hasLastBytes(generation, file))) return false
  generation.doubt = 'none'
  return true
}
