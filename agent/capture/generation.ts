import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import type { Evidence, FilePlace, ResumePoint } from '../queue/resume-point.ts'
import type { SourceConfig } from '../source-config.ts'
import type { FileFacts } from '../world.ts'
import type { Chunker } from './chunker.ts'
import { tickMsOf } from './coarse-time.ts'
import { pathOfKey } from './find-files.ts'
import { identityKey } from './identity.ts'
import type { Shipping } from './shipping.ts'
import { Witness } from './witness.ts'

/** What `status` says of a file. */
export type FileState =
  /** Bytes of it are still to be read. */
  | 'reading'
  /** All that is there was read. */
  | 'atEnd'
  /** The same, and what was shipped was compared with the file as a whole. */
  | 'closed'
  /** No glob leads to it any more: it is read to its end and let go. */
  | 'draining'

/** So many ranges of a file may come before small ones are joined in the index. */
export const mostLooseRanges = 64

/** One generation of one file, while it is followed. It is small: thousands of them stand still most of the time. */
export class Generation {
  readonly source: SourceConfig
  /** Its identity as the key of a map. */
  readonly key: string
  /** As it stands in the queue; owned by whoever has the turn. */
  resume: ResumePoint
  /** Where a glob found it last. */
  pathKey: string
  place: FilePlace
  /** What was last seen of it, but for what is not explained yet. */
  facts: FileFacts
  /** The largest size that was seen. */
  size: number
  /** The largest size that is proven to have been this generation's: its bytes were still in place later. */
  seenBytes: number
  /** Read up to here: queued, on its way there, or in the chunker. */
  readTo: number
  /** Everything before is to be cut without waiting for its age. */
  flushTo = 0
  /** Holds what was read and not cut; undefined while there is nothing. */
  chunker: Chunker | undefined
  /** Until its stream has begun on the disk; gives false if that cannot be. */
  stored: Promise<boolean> | undefined
  /** What is on its way to the queue; undefined while nothing is. */
  shipping: Shipping | undefined
  /** False once no glob leads to it: it was deleted, or renamed away. */
  isListed = true
  /** It was opened where it lies, and can be again, although no glob leads to it. */
  isAtPlace = false
  /** It has another name since its facts were settled. */
  isRenamed = false
  /** It was cut short there, and what is left of it is being read; Infinity while it may grow. */
  endsAt = Infinity
  /** The largest size that looks saw of what stands in its file since it was cut short. */
  nextBytes = 0
  /** It was written to in a way that growth does not explain. */
  isSuspect = false
  /** So many ranges were shipped since the index joined any of its small ones. */
  looseRanges: number
  /** Before this offset there is nothing to be joined. */
  joinedTo = 0
  /** Its times are coarse, and it was not looked into since the tick of the last one was over: a write may not show in it. */
  isInTick = false
  /** Its inode's number may be another file's by now: whether its end, or all that is known of it, is to be compared first. */
  doubt: 'none' | 'end' | 'all' = 'none'
  /** A flush waits for it to be read once more, from its beginning. */
  closing: 'none' | 'asked' | 'underWay' = 'none'
  /** It has been read as far as it ever will be. */
  isOver = false
  /** What was seen before may have been of the generation before it. By the monotonic clock. */
  readonly beganMs: number
  /** When its size or its bytes last changed, by the monotonic clock. */
  quietSinceMs: number
  /** Reads in a row that failed at `readTo`. */
  failures = 0
  /** When the last of them was, by the monotonic clock. */
  failedMs = -Infinity
  #witness: Witness | undefined
  turn: 'none' | 'waiting' | 'taken' = 'none'
  /** So many turns it has had. */
  turnsEnded = 0
  /** Its next turn is for nothing but to cut what was read of it. */
  isOnlyDue = false
  /** Somebody wants a turn for it while it has one. */
  isWanted = false

  constructor(
    resume: ResumePoint,
    source: SourceConfig,
    found: { readonly pathKey: string; readonly place: FilePlace; readonly facts: FileFacts },
    nowMs: number,
  ) {
    this.source = source
    this.key = identityKey(resume.identity)
    this.resume = resume
    this.pathKey = resume.path === found.pathKey ? resume.path : found.pathKey
    this.place = alikeOnce(resume.place, found.place)
    this.facts = found.facts
    this.readTo = resume.position
    // Those of the lives before are counted by nobody.
    this.looseRanges = resume.position > 0 ? mostLooseRanges - 1 : 0
    this.seenBytes = Math.max(resume.seenBytes ?? 0, resume.position, found.facts.size)
    this.size = this.seenBytes
    // A whole number takes no memory of its own.
    this.beganMs = Math.ceil(nowMs)
    this.quietSinceMs = this.beganMs
    this.isInTick = tickMsOf(found.facts) > 0
  }

  get path(): Uint8Array {
    return pathOfKey(this.pathKey)
  }

  get label(): StreamLabel {
    const { stream, path } = this.resume
    return { stream, path, tags: this.source.tags }
  }

  /** Owned by whoever looks whether it still is the file that was read. */
  get witness(): Witness {
    return (this.#witness ??= new Witness())
  }

  /** Cut up to here; what follows is in the chunker. */
  get cutTo(): number {
    return this.readTo - (this.chunker?.uncutBytes ?? 0)
  }

  /** After so many turns everything is seen that now gives it one. */
  get turnsToSettle(): number {
    if (this.turn === 'none') return this.turnsEnded
    return this.turnsEnded + (this.turn === 'taken' && this.isWanted ? 2 : 1)
  }

  /** In the queue, or beyond it, up to here. */
  get queuedTo(): number {
    return this.resume.position
  }

  /** What proves that the file still has what was read of it, but for what is in the chunker. */
  get evidence(): readonly Evidence[] {
    return this.shipping?.evidence ?? this.resume.evidence
  }

  get isText(): boolean {
    return this.source.format === 'text'
  }

  /** Bytes that were shipped may be others by now: reading it once more would tell. */
  get mayBeRewritten(): boolean {
    return this.size > 0 && (!this.isText || this.isSuspect)
  }

  get state(): FileState {
    if (!this.isListed) return 'draining'
    if (this.readTo < this.size) return 'reading'
    return this.isClosedAsItStands ? 'closed' : 'atEnd'
  }

  /** It was compared as a whole with what was shipped, and has not changed since. */
  get isClosedAsItStands(): boolean {
    const { closed } = this.resume
    const { size, modifiedNs, changedNs } = this.facts
    return (
      closed?.length === size &&
      closed.modifiedNs === String(modifiedNs) &&
      closed.changedNs === String(changedNs)
    )
  }

  /** The resume point once everything before `position` is safe. */
  pointAt(position: number, evidence: readonly Evidence[]): ResumePoint {
    const { stream, path, identity, closed } = this.resume
    const seenBytes = Math.max(this.seenBytes, position)
    const at = position as ByteOffset
    const point = { stream, path, identity, position: at, evidence, seenBytes, place: this.place }
    const { heldAt } = this
    return { ...point, ...(closed ? { closed } : {}), ...(heldAt === undefined ? {} : { changedNs: heldAt }) }
  }

  /** When it had changed last, and held what was shipped; undefined where it may hold something else. */
  get heldAt(): string | undefined {
    return this.isSuspect ? undefined : String(this.facts.changedNs)
  }

  /** Whether it may have been written to in place while nobody looked: it changed, and did not grow. */
  mayHaveChanged({ size, changedNs }: FileFacts): boolean {
    const { position, changedNs: heldAt } = this.resume
    if (position === 0) return false
    return heldAt === undefined || (size === position && heldAt !== String(changedNs))
  }

  /** Counts in bytes that were read. */
  took(count: number): void {
    this.readTo += count
    this.size = Math.max(this.size, this.readTo)
    this.seenBytes = Math.max(this.seenBytes, this.readTo)
    this.failures = 0
    this.failedMs = -Infinity
  }

  /** Its bytes were still in place after it was seen with this size, which therefore was its own. */
  proved(size: number): void {
    this.seenBytes = Math.max(this.seenBytes, size)
  }

  /** The largest size that was seen of what stands in its file now. */
  get presentSize(): number {
    return this.endsAt === Infinity ? this.size : this.nextBytes
  }

  /** Its file was looked at, and is not shorter than it was. */
  sawSize(size: number): void {
    if (this.endsAt === Infinity) this.size = Math.max(this.size, size)
    else this.nextBytes = Math.max(this.nextBytes, size)
  }

  /** A glob leads to it. */
  found(): void {
    this.isListed = true
    this.isAtPlace = false
  }

  /** Takes what was seen for explained. */
  note(facts: FileFacts, nowMs: number): void {
    this.noteTimes(facts, nowMs)
    this.size = Math.max(this.readTo, facts.size)
  }

  /** The same, of a file that may have been seen to be larger since. */
  noteTimes(facts: FileFacts, nowMs: number): void {
    if (facts.size !== this.facts.size || facts.modifiedNs !== this.facts.modifiedNs) {
      this.quietSinceMs = nowMs
      this.isInTick = tickMsOf(facts) > 0
    }
    this.facts = facts
  }

  /** Whether every write that is to come shows in its time of modification, if that is the one of these facts. */
  isTickOver(facts: FileFacts, nowMs: number): boolean {
    const isKnown = facts.modifiedNs === this.facts.modifiedNs && facts.size === this.facts.size
    const seenForMs = isKnown ? nowMs - this.quietSinceMs : 0
    return seenForMs >= tickMsOf(facts)
  }

  /** Reads again what is not in the queue: a chunk was lost on its way there. */
  restart(): void {
    this.dropChunker()
    this.shipping = undefined
    this.readTo = this.resume.position
  }

  dropChunker(): void {
    this.chunker?.[Symbol.dispose]()
    this.chunker = undefined
  }

  /** Keeps nothing that a file at rest has no use for; there may be thousands. A turn that is under way has it still. */
  rest(): void {
    if (this.turn === 'taken' || this.chunker) return
    if (this.shipping?.isDone) this.shipping = undefined
    if (!this.#witness?.isInDoubt) this.#witness = undefined
  }
}

/** One object and not two: there may be thousands of files. */
function alikeOnce(known: FilePlace | undefined, found: FilePlace): FilePlace {
  return known?.path === found.path && known.device === found.device ? known : found
}
