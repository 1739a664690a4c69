import type { Queue } from '../queue/queue.ts'
import type { FileIdentity, FilePlace, ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import { beginStream } from './begin-stream.ts'
import type { Ended } from './ending.ts'
import type { Endings } from './endings.ts'
import type { FoundFile } from './find-files.ts'
import type { Follower } from './follower.ts'
import { identityKey, identityOf, isAt, mayBeSame, recognise, recogniseByContent } from './identity.ts'
import type { Round, Stranger } from './round.ts'
import { ThereBefore } from './there-before.ts'
import type { Witness } from './witness.ts'

/** A file that nobody follows yet. */
export interface Unknown {
  readonly found: FoundFile
  readonly facts: FileFacts
  readonly identity: FileIdentity
  readonly place: FilePlace
}

/** It was opened. */
export interface Met extends Unknown {
  readonly file: OpenFile
  readonly witness: Witness
}

/** Where a file is to be read on. */
export interface Start {
  readonly resume: ResumePoint
  /** It goes on in a stream that was there. */
  readonly isKnown?: boolean
  /** What the file was before, and is to end first. */
  readonly after?: Ended
}

const nsPerMs = 1_000_000

/** Finds out where a file that nobody follows is to be read on: in a stream that was there before, or in one of its own. */
export class Beginnings {
  readonly #follower: Follower
  readonly #endings: Endings
  readonly #queue: Queue
  readonly #world: World
  /** Files that are too old, and when they were written to; by identity. */
  readonly #ignored = new Map<string, bigint>()
  readonly #thereBefore: ThereBefore

  constructor(follower: Follower, endings: Endings, queue: Queue, world: World) {
    this.#follower = follower
    this.#endings = endings
    this.#queue = queue
    this.#world = world
    this.#thereBefore = new ThereBefore(queue)
  }

  /** To be called before any file is met. False where the disk refuses, and the next look asks again. */
  async noteThereBefore(round: Round): Promise<boolean> {
    try {
      await this.#thereBefore.note(round)
      return true
    } catch (cause) {
      for (const { found } of round.strangers) round.trouble(found.path, cause)
      return false
    }
  }

  /** Of files that are gone nothing is kept. */
  async forgetGone(round: Round): Promise<void> {
    const { followed } = this.#follower
    for (const key of this.#ignored.keys()) if (!round.seen.has(key)) this.#ignored.delete(key)
    await this.#thereBefore.forgetMet(round, (key) => followed.has(key) || this.#ignored.has(key))
  }

  /** Whether the file of this identity is too old, and was not written to since that was found. */
  ignores(key: string, { modifiedNs }: FileFacts): boolean {
    return this.#ignored.get(key) === modifiedNs
  }

  /** No byte of it need be read to say that it begins a stream. */
  isPlainlyNew({ found: { isLink }, facts, key }: Stranger, round: Round): boolean {
    if (this.#thereBefore.bytesIn(key, facts.size) > 0 || isLink || round.pointsByKey(this.#queue).has(key))
      return false
    const missing = round.missingPoints(this.#queue, this.#follower.followed, this.#endings)
    return ![...missing].some((point) => mayBeSame(point.identity, identityOf(facts)))
  }

  /** How much was read of the file that this one may be. */
  readOf({ found, facts, key }: Stranger, round: Round): number {
    const known = round.pointsByKey(this.#queue).get(key)
    if (known) return known.position
    const missing = round.missingPoints(this.#queue, this.#follower.followed, this.#endings)
    const here = [...missing].filter((point) => mayBeSame(point.identity, identityOf(facts)))
    return Math.max(0, ...here.filter((point) => isAt(point, found.path)).map(({ position }) => position))
  }

  /** From where it is to be read; undefined where it is to be left alone. */
  async of(met: Met, round: Round): Promise<Start | undefined> {
    const known = round.pointsByKey(this.#queue).get(identityKey(met.identity))
    // Its end may have been stored since the round began.
    if (known && this.#queue.resumePoints.has(known.stream)) return this.#startKnown(known, met)
    const resume = await round.inTurn(() => this.#resumeUnknown(met, round))
    return resume && { resume }
  }

  async #startKnown(known: ResumePoint, met: Met): Promise<Start | undefined> {
    const { found, file, facts, witness } = met
    const { format, tags, priority } = found.source
    // What was away for too long is back before the record that says so had room.
    const isEnding = this.#endings.isUnderWay(known.stream)
    const is = isEnding ? 'deleted' : await recognise(known, file, facts, format, witness)
    if (is === 'same') return { resume: known, isKnown: true }
    const label = { stream: known.stream, path: known.path, tags }
    const after: Ended = { label, lane: priority, point: known, why: is }
    const resume = await this.begin(met, file)
    if (resume) return { resume, after }
    this.#endings.end(after)
    return undefined
  }

  /** Of a file that has an identity which nobody knows. */
  async #resumeUnknown(met: Met, round: Round): Promise<ResumePoint | undefined> {
    const { found, facts, identity } = met
    const point = await this.#resumeByContent(met, round)
    if (point === 'nextLook') return undefined
    if (point || round.isRenaming || !this.#mayBeRenamed(identity, round))
      return point ?? this.begin(met, met.file)
    round.later.push({ found, facts, key: identityKey(identity) })
    return undefined
  }

  /** Whether a file of this identity may be one whose own file was not seen. */
  #mayBeRenamed(identity: FileIdentity, round: Round): boolean {
    const missing = round.missingPoints(this.#queue, this.#follower.followed, this.#endings)
    return [...missing].some((point) => point.evidence.length > 0 && mayBeSame(point.identity, identity))
  }

  async #resumeByContent(met: Met, round: Round): Promise<ResumePoint | 'nextLook' | undefined> {
    const { file, facts, identity, place } = met
    const missing = round.missingPoints(this.#queue, this.#follower.followed, this.#endings)
    const point = await recogniseByContent(
      missing,
      { path: met.found.path, identity },
      file,
      facts,
      round.isRenaming,
      met.witness,
    )
    if (!point) return undefined
    round.found(point)
    const before = this.#follower.followed.get(identityKey(point.identity))
    if (before && !(await this.#follower.handOver(before))) return 'nextLook'
    return { ...(before?.resume ?? point), identity, place }
  }

  async begin(met: Unknown, file?: OpenFile): Promise<ResumePoint | undefined> {
    const { found, facts, identity } = met
    if (this.#isTooOld(met)) {
      this.#ignored.set(identityKey(identity), facts.modifiedNs)
      return undefined
    }
    const at = { pathKey: found.pathKey, place: met.place, identity }
    const position = this.#thereBefore.bytesIn(identityKey(identity), facts.size)
    return beginStream(at, file, position, this.#world.chance)
  }

  #isTooOld({ found: { source }, facts }: Unknown): boolean {
    if (source.ignoreOlderMs === undefined) return false
    const ageMs = this.#world.clock.wallMs() - Number(facts.modifiedNs) / nsPerMs
    return ageMs > source.ignoreOlderMs
  }
}
