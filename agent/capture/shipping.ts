import { encodeBody, type EncodedBody } from '../../protocol/body.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset, Digest } from '../../protocol/ids.ts'
import type { LossReason } from '../../protocol/manifest.ts'
import { letGo } from '../let-go.ts'
import { evidenceAfter, evidenceRenewed } from '../queue/evidence.ts'
import type { Lane } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import type { Evidence, ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts } from '../world.ts'
import type { Cut } from './chunker.ts'
import { Conveyor } from './conveyor.ts'

/** The generation whose records are shipped. */
export interface Shipped {
  readonly label: StreamLabel
  readonly source: { readonly priority: Lane }
  /** Until its stream has begun on the disk; gives false if that cannot be. */
  readonly stored: Promise<boolean> | undefined
  /** As it stands in the queue. */
  resume: ResumePoint
  /** Counted here: its ranges that came into the queue. */
  looseRanges: number
  /** The resume point once everything before `position` is safe. */
  pointAt(position: number, evidence: readonly Evidence[]): ResumePoint
}

/** Takes the records of one generation into the queue, in order: one on its way while the next is encoded. */
export class Shipping {
  readonly #generation: Shipped
  readonly #queue: Queue
  readonly #patience: AbortSignal
  readonly #conveyor = new Conveyor()
  /** Of what is on its way; undefined once all of it arrived. */
  #evidence: readonly Evidence[] | undefined
  /** The queue was closed, or patience ended, before it took one; then it takes none after it either. */
  isRefused = false

  constructor(generation: Shipped, queue: Queue, patience: AbortSignal) {
    this.#generation = generation
    this.#queue = queue
    this.#patience = patience
  }

  /** What proves that the file still has what was shipped of it, and what is on its way. */
  get evidence(): readonly Evidence[] {
    return this.#evidence ?? this.#generation.resume.evidence
  }

  /** Ships what comes next in the file. */
  async ship(cut: Cut): Promise<void> {
    try {
      const evidence = evidenceAfter(this.evidence, cut.offset, cut.bytes)
      this.#evidence = evidence
      const body = await encodeBody(cut.bytes)
      await this.#conveyor.put(() => this.#take(cut, body, evidence))
    } catch (cause) {
      cut.release()
      throw cause
    }
  }

  async #take(cut: Cut, body: EncodedBody, evidence: readonly Evidence[]): Promise<void> {
    try {
      const resume = this.#generation.pointAt(cut.offset + cut.bytes.length, evidence)
      await this.#append({ kind: 'data', offset: cut.offset, body }, resume)
      if (this.#evidence === evidence && !this.isRefused) this.#evidence = undefined
    } finally {
      // What is not compressed is the cut itself.
      if (body.encoding === 'zstd') letGo(body.body)
      cut.release()
    }
  }

  /** Ships once more a range that was shipped before and has changed since. */
  async shipAgain(offset: number, bytes: Uint8Array): Promise<void> {
    const { resume } = this.#generation
    const body = await encodeBody(bytes)
    const evidence = evidenceRenewed(resume.evidence, offset, bytes)
    const point = this.#generation.pointAt(resume.position, evidence)
    await this.#conveyor.put(() => this.#append({ kind: 'data', offset: offset as ByteOffset, body }, point))
    await this.done()
  }

  /** Records that these bytes cannot be read; reading goes on behind them. */
  async lose(offset: number, length: number, reason: LossReason): Promise<void> {
    await this.done()
    const point = this.#generation.pointAt(offset + length, this.#generation.resume.evidence)
    await this.#append({ kind: 'loss', offset: offset as ByteOffset, length, reason }, point)
  }

  /**
   * Records length and hash of the whole file, as it stood when the file system said `facts` of it. Unless these are its own for
   * sure, and not those of a later write, too, it is to be read once more.
   */
  async close(sha256: Digest, facts: FileFacts, areItsOwn: boolean): Promise<void> {
    await this.done()
    const { size, modifiedNs, changedNs } = facts
    const closed = { length: size, modifiedNs: String(modifiedNs), changedNs: String(changedNs) }
    const { position, evidence } = this.#generation.resume
    const point = this.#generation.pointAt(position, evidence)
    const resume = areItsOwn ? { ...point, closed } : point
    await this.#append({ kind: 'close', length: size, sha256 }, resume)
  }

  async #append(what: Shipment, resume: ResumePoint): Promise<void> {
    if (this.isRefused) return
    const { label, source, stored = true } = this.#generation
    const arrival = { ...what, label, lane: source.priority, resume }
    const isTaken = (await stored) && (await this.#queue.append(arrival, this.#patience))
    if (!isTaken) this.isRefused = true
    else this.#taken(resume)
  }

  #taken(resume: ResumePoint): void {
    this.#generation.resume = resume
    this.#generation.looseRanges++
  }

  /** Nothing is on its way, and all that was is in the queue. */
  get isDone(): boolean {
    return this.#conveyor.isDone && !this.isRefused
  }

  /** Resolves when nothing is on its way. */
  done(): Promise<void> {
    return this.#conveyor.empty()
  }
}

type Shipment =
  | { readonly kind: 'data'; readonly offset: ByteOffset; readonly body: EncodedBody }
  | {
      readonly kind: 'loss'
      readonly offset: ByteOffset
      readonly length: number
      readonly reason: LossReason
    }
  | { readonly kind: 'close'; readonly length: number; readonly sha256: Digest }
