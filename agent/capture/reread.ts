import { createHash } from 'node:crypto'
import { equalBytes, type Digest, type StreamId } from '../../protocol/ids.ts'
import type { Queue } from '../queue/queue.ts'
import type { FileFacts, OpenFile } from '../world.ts'
import type { ChunkBuffers } from './chunk-buffers.ts'
import type { Generation } from './generation.ts'
import { Shipping } from './shipping.ts'
import type { CaptureParts } from './take-turn.ts'

/** Waits until others do not need what reading once more takes. */
export type Pause = (signal: AbortSignal) => Promise<void>

export type Reread =
  | 'closed'
  /** What was queued of it when it was asked for; it grew, or changed, meanwhile. */
  | 'compared'
  /** It changed meanwhile, or somebody wants a turn for it. */
  | 'notFinished'
  /** There is nothing to compare it with. */
  | 'neverShipped'

/**
 * Reads a file once more as a whole. What is not as it was shipped is shipped again; of a file that stands still, length and
 * hash of the whole end it for now. With `isWaitedFor` one that grows is compared, too, as far as it is queued.
 */
export async function reread(
  generation: Generation,
  file: OpenFile,
  isWaitedFor: boolean,
  parts: CaptureParts,
  pause: Pause,
  signal: AbortSignal,
): Promise<Reread> {
  await generation.shipping?.done()
  const before = await file.facts()
  const { queuedTo, readTo } = generation
  const isWhole = before.size === queuedTo && queuedTo === readTo
  const isTickOver = generation.isTickOver(before, parts.clock.monotonicMs())
  const mayBeClosed = isWhole && isTickOver
  if (before.size < queuedTo || (!mayBeClosed && !isWaitedFor)) return 'notFinished'
  const shipping = new Shipping(generation, parts.queue, parts.patience)
  const isStopped = (): boolean => signal.aborted || (generation.isWanted && !isWaitedFor)
  const buffers = parts.buffers[generation.source.priority]
  const pass = new Pass(file, buffers, parts.chunks.catchUpBytes, shipping, isStopped)
  for await (const range of rangesOf(parts.queue, generation.label.stream, queuedTo)) {
    await pause(signal)
    if (isStopped() || !(await pass.compare(range, signal))) return 'notFinished'
  }
  const after = await file.facts()
  if (shipping.isRefused || after.size < queuedTo) return 'notFinished'
  if (!isWhole || !isUnchanged(before, after)) return isWaitedFor ? 'compared' : 'notFinished'
  generation.isSuspect = !isTickOver
  if (!pass.isCompared) return 'neverShipped'
  generation.noteTimes(after, parts.clock.monotonicMs())
  await shipping.close(pass.digest, after, isTickOver)
  return shipping.isRefused ? 'notFinished' : 'closed'
}

function isUnchanged(before: FileFacts, after: FileFacts): boolean {
  return (
    before.size === after.size &&
    before.modifiedNs === after.modifiedNs &&
    before.changedNs === after.changedNs
  )
}

/** A range of the file and what it must hold: a hash, anything ('believed'), or nothing that is known. */
interface Range {
  readonly offset: number
  readonly length: number
  readonly holds: Digest | 'believed' | 'unknown'
}

/**
 * The whole file in ranges. What stands before the first shipped one was shipped by a version that kept no hashes, or was
 * never meant to be; what is missing between others could not be read, or its hash was lost with the index.
 */
async function* rangesOf(queue: Queue, stream: StreamId, size: number): AsyncGenerator<Range> {
  let at = 0
  let isFirst = true
  for await (const { offset, length, sha256 } of queue.shipped(stream)) {
    if (offset > at) yield { offset: at, length: offset - at, holds: isFirst ? 'believed' : 'unknown' }
    if (offset < size) yield { offset, length: Math.min(length, size - offset), holds: sha256 }
    at = Math.max(at, offset + length)
    isFirst = false
  }
  if (at < size) yield { offset: at, length: size - at, holds: isFirst ? 'believed' : 'unknown' }
}

/** One pass over the file, in pieces that fit into a shared buffer. */
class Pass {
  readonly #file: OpenFile
  readonly #buffers: ChunkBuffers
  readonly #pieceBytes: number
  readonly #shipping: Shipping
  readonly #isStopped: () => boolean
  readonly #whole = createHash('sha256')
  /** The whole is hashed up to here. */
  #hashedTo = 0
  /** Some of it was shipped. */
  isCompared = false

  constructor(
    file: OpenFile,
    buffers: ChunkBuffers,
    pieceBytes: number,
    shipping: Shipping,
    isStopped: () => boolean,
  ) {
    this.#file = file
    this.#buffers = buffers
    this.#pieceBytes = pieceBytes
    this.#shipping = shipping
    this.#isStopped = isStopped
  }

  get digest(): Digest {
    return this.#whole.digest() as Uint8Array as Digest
  }

  /** Ships the range again unless it holds what it must. False where the file ends in it, or it has to stop. */
  async compare(range: Range, signal: AbortSignal): Promise<boolean> {
    if (range.holds !== 'believed') this.isCompared = true
    const hash = createHash('sha256')
    const isRead = await this.#eachPiece(range, signal, async (offset, bytes) => {
      hash.update(bytes)
      this.#hash(offset, bytes)
      // A range that fits into one piece is shipped from the very bytes that were hashed.
      if (bytes.length === range.length && differs(range, hash.copy().digest()))
        await this.#shipping.shipAgain(offset, bytes)
    })
    if (!isRead || range.length <= this.#pieceBytes || !differs(range, hash.digest())) return isRead
    return this.#eachPiece(range, signal, (offset, bytes) => this.#shipping.shipAgain(offset, bytes))
  }

  /** Where shipped ranges overlap, a byte counts once. */
  #hash(offset: number, bytes: Uint8Array): void {
    const fresh = bytes.subarray(Math.max(0, this.#hashedTo - offset))
    this.#whole.update(fresh)
    this.#hashedTo += fresh.length
  }

  async #eachPiece(
    { offset, length }: Range,
    signal: AbortSignal,
    take: (offset: number, bytes: Uint8Array) => Promise<void>,
  ): Promise<boolean> {
    for (let done = 0; done < length;) {
      const buffer = await this.#buffers.take(signal)
      if (!buffer) return false
      try {
        const piece = buffer.subarray(0, Math.min(this.#pieceBytes, length - done))
        if (!(await this.#fill(piece, offset + done))) return false
        await take(offset + done, piece)
        done += piece.length
      } finally {
        this.#buffers.giveBack(buffer)
      }
      if (this.#isStopped()) return false
    }
    return true
  }

  async #fill(into: Uint8Array, offset: number): Promise<boolean> {
    for (let done = 0; done < into.length;) {
      const count = await this.#file.read(into.subarray(done), offset + done)
      if (count === 0) return false
      done += count
    }
    return true
  }
}

function differs({ holds }: Range, found: Uint8Array): boolean {
  if (holds === 'believed') return false
  return holds === 'unknown' || !equalBytes(holds, found)
}
