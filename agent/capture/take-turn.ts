import type { ByteOffset } from '../../protocol/ids.ts'
import type { Clock } from '../clock.ts'
import type { Lane } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import type { Files, OpenFile } from '../world.ts'
import type { ChunkBuffers } from './chunk-buffers.ts'
import { Chunker, type ChunkLimits } from './chunker.ts'
import type { Generation } from './generation.ts'
import { endOfUnreadable, readOn, type Slice } from './read-on.ts'
import { Shipping } from './shipping.ts'
import { isDiskGone } from './vanished-disk.ts'

export interface CaptureParts {
  readonly queue: Queue
  readonly clock: Clock
  readonly files: Files
  /** A chunk keeps its buffer until the queue has taken it: a lane that waits for room must not hold those of another. */
  readonly buffers: Readonly<Record<Lane, ChunkBuffers>>
  readonly chunks: ChunkLimits & { readonly maxAgeMs: number }
  /** Fires when even what was read can no longer be queued. */
  readonly patience: AbortSignal
}

/** Why a stream ends whose file is read on in another one. */
export type OverReason =
  | 'truncated'
  | 'overwritten'
  /** The server has lost what it signed for, and gets all of the file again. */
  | 'receiptsLost'

/** How a turn ended. */
export type TurnEnd =
  /** Nothing is to be done before something happens to the file. */
  | { readonly is: 'rested' }
  /** It goes on with its next turn. */
  | { readonly is: 'more' }
  /** The queue takes nothing any more. */
  | { readonly is: 'notTaken' }
  | { readonly is: 'over'; readonly why: OverReason }
  | { readonly is: 'unreadable'; readonly cause: unknown }

/** After so many chunks the next file with a backlog has its turn. */
const chunksInTurn = 4
/** How often in a row reading must fail before bytes are given up. */
const believedFailures = 3
/** Between two tries, by the monotonic clock: many in the time of one bus reset say no more than one. */
const tryAgainMs = 1000
/** Of unreadable bytes in one loss record. */
const mostUnreadable = 1024 * 1024

/**
 * Reads a file on, cuts, encodes and queues, until its end or until others should have a turn. Without a file that can be
 * read, what is in memory is still cut. Throws where the file cannot be read for any reason but a bad disk.
 */
export async function takeTurn(
  generation: Generation,
  file: OpenFile | undefined,
  parts: CaptureParts,
  signal: AbortSignal,
): Promise<TurnEnd> {
  const { buffers, chunks, clock } = parts
  const { format, priority } = generation.source
  const rules = { format, maxAgeMs: chunks.maxAgeMs, limits: chunks }
  generation.chunker ??= new Chunker(generation.readTo as ByteOffset, rules, buffers[priority])
  const chunker = generation.chunker
  // It goes on when the turn is over: while the disk is slow, reading is not.
  generation.shipping ??= new Shipping(generation, parts.queue, parts.patience)
  const { shipping } = generation
  if (!file) return shipRest(generation, shipping, parts)
  try {
    for (let cuts = 0; cuts < chunksInTurn && !signal.aborted;) {
      const slice = await readOn(generation, file, chunker, clock, signal)
      const isLast = slice.is === 'over' || slice.is === 'unreadable'
      cuts += await shipDue(chunker, isLast || isFlushed(generation), shipping, parts)
      if (shipping.isRefused) return { is: 'notTaken' }
      const end = await endOf(slice, generation, file, shipping, parts)
      if (end) return end
    }
    return { is: 'more' }
  } finally {
    chunker.rest()
  }
}

async function endOf(
  slice: Slice,
  generation: Generation,
  file: OpenFile,
  shipping: Shipping,
  parts: CaptureParts,
): Promise<TurnEnd | undefined> {
  switch (slice.is) {
    case 'bytes':
      return slice.isEnd ? { is: 'rested' } : undefined
    case 'end':
      return { is: 'rested' }
    case 'over':
      return slice
    case 'unreadable':
      return (await passOver(generation, file, shipping, parts)) ? undefined : slice
  }
}

/** A turn that reads nothing: no file that is shut is opened for it. */
export async function cutDue(generation: Generation, parts: CaptureParts): Promise<void> {
  const { chunker, shipping } = generation
  if (chunker && shipping) await shipDue(chunker, isFlushed(generation), shipping, parts)
}

/** Everything that was read is in the queue, or on its way, before this resolves. */
export async function shipAll(generation: Generation, parts: CaptureParts): Promise<void> {
  // A look that nobody waits for may let the generation rest meanwhile.
  const shipping = (generation.shipping ??= new Shipping(generation, parts.queue, parts.patience))
  await shipRest(generation, shipping, parts)
  await shipping.done()
}

async function shipRest(
  { chunker }: Generation,
  shipping: Shipping,
  parts: Pick<CaptureParts, 'clock' | 'chunks'>,
): Promise<TurnEnd> {
  if (chunker) await shipDue(chunker, true, shipping, parts)
  return { is: 'rested' }
}

/** Ships what is due: one chunk, or more where less goes into one than when it was read. Gives how many. */
async function shipDue(
  chunker: Chunker,
  all: boolean,
  shipping: Shipping,
  { clock, chunks }: Pick<CaptureParts, 'clock' | 'chunks'>,
): Promise<number> {
  for (let cuts = 0; ; cuts++) {
    const cut = chunker.cut(clock.monotonicMs(), all)
    if (!cut) return cuts
    await shipping.ship(cut)
    if (!all && chunker.uncutBytes < chunks.maxBytes) return cuts + 1
  }
}

/** Somebody waits for bytes that were read and are not yet in the queue, and they all are there. */
function isFlushed({ readTo, flushTo, queuedTo }: Generation): boolean {
  return readTo >= flushTo && queuedTo < flushTo
}

/** Gives up the pages that cannot be read, once that was tried often enough and their disk is there; else false. */
async function passOver(
  generation: Generation,
  file: OpenFile,
  shipping: Shipping,
  { clock, files }: CaptureParts,
): Promise<boolean> {
  const nowMs = clock.monotonicMs()
  if (nowMs - generation.failedMs < tryAgainMs) return false
  generation.failures++
  generation.failedMs = nowMs
  const { size } = await file.facts()
  const from = generation.readTo
  if (generation.failures < believedFailures || size <= from) return false
  if (await isDiskGone(generation.place, files)) return false
  const to = await endOfUnreadable(file, from, size, mostUnreadable)
  if (to > from) await shipping.lose(from, to - from, 'unreadable')
  if (shipping.isRefused) return false
  generation.chunker?.skipTo(to)
  generation.took(to - from)
  // Of what follows it at once, one failure is enough.
  generation.failures = believedFailures - 1
  generation.failedMs = -Infinity
  return true
}
