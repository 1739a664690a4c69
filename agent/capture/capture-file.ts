import { encodeBody, type EncodedBody } from '../../protocol/body.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { Doorbell } from '../doorbell.ts'
import type { Queue } from '../queue/queue.ts'
import type { ResumePoint } from '../queue/resume-point.ts'
import type { Clock } from '../clock.ts'
import type { OpenFile } from '../world.ts'
import type { ChunkBuffers } from './chunk-buffers.ts'
import { Chunker, type ChunkRules, type Cut } from './chunker.ts'
import { Conveyor } from './conveyor.ts'
import { evidenceAfter } from '../queue/evidence.ts'
import { tail, type Slice } from './tail.ts'

/** A file generation while it is followed: who follows it writes here, `status` and `flush` read. */
export class FileProgress {
  /** Rung when the file may have changed, or somebody wants it cut. */
  readonly bell = new Doorbell()
  readonly label: StreamLabel
  /** Owned by the task that follows it. */
  readonly file: OpenFile
  /** Where it lies now, which need not be where its stream began. */
  path: Uint8Array
  /** False once no glob leads to it: it was deleted, or renamed away. */
  isListed = true
  size: number
  /** Read up to here. */
  readTo: number
  /** In the queue, or beyond it, up to here. */
  queuedTo: number
  /** Everything before is to be cut without waiting for its age. */
  flushTo = 0

  /** This generation has been read as far as it ever will be. */
  isOver = false

  constructor(label: StreamLabel, file: OpenFile, path: Uint8Array, position: number, size: number) {
    this.label = label
    this.file = file
    this.path = path
    this.size = size
    this.readTo = position
    this.queuedTo = position
  }
}

export interface CaptureParts {
  readonly queue: Queue
  readonly clock: Clock
  readonly buffers: ChunkBuffers
  /** How long a file that no glob leads to any more may stand still before it is let go. */
  readonly lingerMs: number
  /** Fires when even what was read can no longer be queued. */
  readonly patience: AbortSignal
}

/** Why a file is no longer followed. */
export type Ending = 'stopped' | 'truncated' | 'gone' | 'notTaken'

/**
 * Ships a file from its resume point on: reads, cuts, encodes and queues, with one chunk on its way to the disk while the
 * next is encoded. When the signal fires, what was read is still cut and queued. Throws where the file cannot be read.
 */
export async function captureFile(
  resume: ResumePoint,
  progress: FileProgress,
  rules: ChunkRules,
  parts: CaptureParts,
  signal: AbortSignal,
): Promise<Ending> {
  using chunker = new Chunker(resume.position, rules, parts.buffers)
  // Whatever happens, what is on its way to the queue arrives before anybody looks at the resume point again.
  await using shipping = new Shipping(resume, progress, parts)
  const { clock } = parts
  const waitMs = (): number =>
    Math.min(chunker.dueInMs(clock.monotonicMs()), progress.isListed ? Infinity : parts.lingerMs)
  const options = { room: (stop: AbortSignal) => chunker.room(stop), bell: progress.bell, waitMs, clock }
  const linger = new Linger(parts.lingerMs)
  let ending: Ending = 'stopped'
  for await (const slice of tail(progress.file, resume.position, options, signal)) {
    note(slice, progress, chunker, clock.monotonicMs())
    if (slice.is === 'shrunk') ending = 'truncated'
    if (slice.is === 'end' && linger.isOver(progress, clock.monotonicMs())) ending = 'gone'
    const cut = chunker.cut(clock.monotonicMs(), ending !== 'stopped' || isFlushed(progress))
    if (cut) await shipping.ship(cut)
    if (slice.is === 'end') chunker.rest()
    if (ending !== 'stopped' || shipping.isRefused) break
  }
  const last = chunker.cut(clock.monotonicMs(), true)
  if (last) await shipping.ship(last)
  await shipping.done()
  return shipping.isRefused ? 'notTaken' : ending
}

function note(slice: Slice, progress: FileProgress, chunker: Chunker, nowMs: number): void {
  progress.size = slice.size
  if (slice.is !== 'bytes') return
  chunker.took(slice.count, nowMs)
  progress.readTo += slice.count
}

/** Somebody waits for bytes that were read and are not yet in the queue, and they all are there. */
function isFlushed(progress: FileProgress): boolean {
  return progress.readTo >= progress.flushTo && progress.queuedTo < progress.flushTo
}

/** Whether a file that nobody can find any more has stood still for long enough. */
class Linger {
  readonly #lingerMs: number
  #sinceMs: number | undefined
  #size = -1

  constructor(lingerMs: number) {
    this.#lingerMs = lingerMs
  }

  isOver(progress: FileProgress, nowMs: number): boolean {
    if (progress.isListed || progress.size !== this.#size) this.#sinceMs = undefined
    this.#size = progress.size
    if (progress.isListed) return false
    this.#sinceMs ??= nowMs
    return nowMs - this.#sinceMs >= this.#lingerMs
  }
}

/** Takes cuts into the queue, in order. */
class Shipping implements AsyncDisposable {
  readonly #progress: FileProgress
  readonly #parts: CaptureParts
  readonly #conveyor = new Conveyor()
  #resume: ResumePoint
  /** The queue was closed, or patience ended, before it took a cut; then it takes none after it either. */
  isRefused = false

  constructor(resume: ResumePoint, progress: FileProgress, parts: CaptureParts) {
    this.#resume = resume
    this.#progress = progress
    this.#parts = parts
  }

  async ship(cut: Cut): Promise<void> {
    try {
      const body = await encodeBody(cut.bytes)
      await this.#conveyor.put(() => this.#take(cut, body))
    } catch (cause) {
      cut.release()
      throw cause
    }
  }

  async #take(cut: Cut, body: EncodedBody): Promise<void> {
    try {
      if (!this.isRefused) await this.#append(cut, body)
    } finally {
      cut.release()
    }
  }

  async #append(cut: Cut, body: EncodedBody): Promise<void> {
    const position = (cut.offset + cut.bytes.length) as ByteOffset
    const resume = {
      ...this.#resume,
      position,
      evidence: evidenceAfter(this.#resume.evidence, cut.offset, cut.bytes),
    }
    const { label } = this.#progress
    const arrival = { kind: 'data', lane: 'normal', label, offset: cut.offset, body, resume } as const
    const isTaken = await this.#parts.queue.append(arrival, this.#parts.patience)
    if (!isTaken) this.isRefused = true
    if (!isTaken) return
    this.#resume = resume
    this.#progress.queuedTo = position
  }

  done(): Promise<void> {
    return this.#conveyor.empty()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.done()
  }
}
