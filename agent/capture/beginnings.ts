import { equalBytes } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Queue } from '../queue/queue.ts'
import {
  unknownIdentity,
  type FileIdentity,
  type FilePlace,
  type ResumePoint,
} from '../queue/resume-point.ts'
import type { SourceConfig } from '../source-config.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import { beginStream } from './begin-stream.ts'
import { unlessDisk } from './disk-error.ts'
import { endedBetween, type Ended } from './ending.ts'
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
  /** Of its file, where they were asked for again. */
  readonly facts?: FileFacts
  /** It goes on in a stream that was there. */
  readonly isKnown?: boolean
  /** What the file was before, and is to end first. */
  readonly after?: Ended
}

const nsPerMs = 1_000_000
const notHandedOver = 'it is there under another identity, and what was read of it is not yet in the queue'

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

  /** After every stranger was met. Of files that are gone nothing is kept. */
  async settle(round: Round): Promise<void> {
    const { followed } = this.#follower
    for (const key of this.#ignored.keys()) if (!round.seen.has(key)) this.#ignored.delete(key)
    await this.#thereBefore.forgetMet(round, (key) => followed.has(key) || this.#ignored.has(key))
    if (round.strangers.length > 0) await this.#takeNumbers(round)
  }

  /** A number that is another file's by now says nothing of a stream any more, and the next life would know only one of two. */
  async #takeNumbers(round: Round): Promise<void> {
    const { resumePoints } = this.#queue
    const bereft = [...resumePoints.values()].filter(({ identity, stream, place, path }) => {
      if (identity.birthNs !== '0' || this.#endings.isUnderWay(stream)) return false
      const holder = this.#follower.followed.get(identityKey(identity))
      if (!holder || holder.label.stream === stream) return false
      return !round.isHidden(logPathToBytes(place?.path ?? path))
    })
    if (bereft.length === 0) return
    await this.#queue.setResumePoints(bereft.map(withoutNumber)).catch(unlessDisk)
  }

  /** Whether the file of this identity was left alone as too old, was not written to since, and is too old by the clock of now. */
  ignores(key: string, facts: FileFacts, source: SourceConfig): boolean {
    return this.#ignored.get(key) === facts.modifiedNs && this.#isTooOld(facts, source)
  }

  /** No byte of it need be read to say that it begins a stream. */
  isPlainlyNew({ found: { isLink }, facts, key }: Stranger, round: Round): boolean {
    if (this.#thereBefore.bytesIn(key, facts.size) > 0 || isLink || round.pointsByKey(this.#queue).has(key))
      return false
    return ![...this.#missing(round)].some((point) => mayBeSame(point.identity, identityOf(facts)))
  }

  /** How much was read of the file that this one may be. */
  readOf({ found, facts, key }: Stranger, round: Round): number {
    const known = round.pointsByKey(this.#queue).get(key)
    if (known && facts.birthNs !== 0n) return known.position
    const here = round.missingAt(found.path, this.#missing(round))
    const possible = here.filter((point) => mayBeSame(point.identity, identityOf(facts)))
    return Math.max(known?.position ?? 0, ...possible.map(({ position }) => position))
  }

  #missing(round: Round): ReadonlySet<ResumePoint> {
    return round.missingPoints(this.#queue, this.#follower.followed, this.#endings)
  }

  /** From where it is to be read; undefined where it is to be left alone. */
  async of(met: Met, round: Round): Promise<Start | undefined> {
    const known = round.pointsByKey(this.#queue).get(identityKey(met.identity))
    // Its end may have been stored since the round began.
    if (!known || !this.#queue.resumePoints.has(known.stream))
      return startOf(await round.inTurn(() => this.#resumeUnknown(met, round)))
    const isSure = met.facts.birthNs !== 0n || this.#endings.isUnderWay(known.stream)
    return isSure ? this.#startKnown(known, met) : this.#startNumbered(known, met, round)
  }

  /** Of a file of which only an inode's number says who it is. A mount may have given it to another one: the path comes first. */
  async #startNumbered(known: ResumePoint, met: Met, round: Round): Promise<Start | undefined> {
    const { file, facts, found, witness } = met
    const isHere = pathsOf(met).some((path) => isAt(known, path))
    const isSame = async (): Promise<boolean> =>
      (await recognise(known, file, facts, found.source.format, witness)) === 'same'
    if (isHere && round.pass === 'here' && (await isSame())) return this.#goOn(known, round)
    return round.inTurn(() => this.#startMoved(known, isHere, met, round))
  }

  #goOn(known: ResumePoint, round: Round): Start {
    round.found(known)
    return { resume: known, isKnown: true }
  }

  async #startMoved(known: ResumePoint, isHere: boolean, met: Met, round: Round): Promise<Start | undefined> {
    const isLeft = this.#missing(round).has(known)
    if (round.pass === 'last' && isLeft) return this.#startKnown(known, met)
    if (round.pass === 'renamed' && !isHere && isLeft && (await holds(known, met)))
      return this.#goOn(known, round)
    const point = await this.#resumeByContent(met, round, true)
    if (point === 'nextLook') return undefined
    const isToWait = round.pass === 'here' || (round.pass === 'renamed' && isHere && isLeft)
    if (point || !isToWait) return startOf(point ?? (await this.begin(met, met.file)))
    this.#putOff(met, round)
    return undefined
  }

  #putOff({ found, facts, identity }: Met, round: Round): void {
    round.later.push({ found, facts, key: identityKey(identity) })
  }

  async #startKnown(known: ResumePoint, met: Met): Promise<Start | undefined> {
    const { found, file, witness } = met
    const { format, tags, priority } = found.source
    // What was away for too long is back before the record that says so had room.
    const isEnding = this.#endings.isUnderWay(known.stream)
    const is = isEnding ? 'deleted' : await recognise(known, file, met.facts, format, witness)
    if (is === 'same') return { resume: known, isKnown: true }
    const label = { stream: known.stream, path: known.path, tags }
    const facts = await file.facts()
    const ended = endedBetween({ point: known, why: is }, met.facts, facts)
    const after: Ended = { label, lane: priority, ...ended }
    const resume = await this.begin({ ...met, facts }, file)
    if (resume) return { resume, facts, after }
    this.#endings.end(after)
    return undefined
  }

  /** Of a file that has an identity which nobody knows. */
  async #resumeUnknown(met: Met, round: Round): Promise<ResumePoint | undefined> {
    const point = await this.#resumeByContent(met, round, false)
    if (point === 'nextLook') return undefined
    if (point || !this.#mayBeKnown(met, round)) return point ?? this.begin(met, met.file)
    this.#putOff(met, round)
    return undefined
  }

  /** Whether a later pass may find that it is a file whose own was not seen, or of which nothing but the path tells. */
  #mayBeKnown(met: Met, round: Round): boolean {
    if (round.pass === 'last') return false
    if (this.#here(met, round).some(({ evidence }) => evidence.length === 0)) return true
    const mayBeIt = ({ evidence, identity }: ResumePoint): boolean =>
      evidence.length > 0 && mayBeSame(identity, met.identity)
    return round.pass === 'here' && [...this.#missing(round)].some(mayBeIt)
  }

  #here(met: Met, round: Round): readonly ResumePoint[] {
    return pathsOf(met).flatMap((path) => round.missingAt(path, this.#missing(round)))
  }

  /** What has no content, because nothing was read of it, is another file's as long as that one may have its number. */
  #possible(met: Met, round: Round, hasNumber: boolean): ReadonlySet<ResumePoint> {
    if (round.pass === 'renamed') return this.#missing(round)
    const here = this.#here(met, round)
    const isSure = hasNumber || round.pass === 'last'
    const isFree = ({ evidence, identity }: ResumePoint): boolean =>
      evidence.length > 0 || !round.seen.has(identityKey(identity))
    return new Set(isSure ? here : here.filter(isFree))
  }

  async #resumeByContent(
    met: Met,
    round: Round,
    hasNumber: boolean,
  ): Promise<ResumePoint | 'nextLook' | undefined> {
    const { file, facts, identity, place } = met
    const point = await recogniseByContent(
      this.#possible(met, round, hasNumber),
      { paths: pathsOf(met), identity },
      file,
      facts,
      round.pass === 'renamed',
      met.witness,
    )
    if (!point) return undefined
    round.found(point)
    const holder = this.#follower.followed.get(identityKey(point.identity))
    const before = holder?.label.stream === point.stream ? holder : undefined
    if (before && !(await this.#follower.handOver(before))) {
      round.trouble(met.found.path, notHandedOver)
      return 'nextLook'
    }
    return { ...(before?.resume ?? point), identity, place }
  }

  async begin(met: Unknown, file?: OpenFile): Promise<ResumePoint | undefined> {
    const { found, facts, identity } = met
    if (this.#isTooOld(facts, found.source)) {
      this.#ignored.set(identityKey(identity), facts.modifiedNs)
      return undefined
    }
    const at = { pathKey: found.pathKey, place: met.place, identity }
    const position = this.#thereBefore.bytesIn(identityKey(identity), facts.size)
    const resume = await beginStream(at, file, position, this.#world.chance)
    return { ...resume, changedNs: String(facts.changedNs) }
  }

  #isTooOld({ modifiedNs }: FileFacts, { ignoreOlderMs }: SourceConfig): boolean {
    if (ignoreOlderMs === undefined) return false
    const ageMs = this.#world.clock.wallMs() - Number(modifiedNs) / nsPerMs
    return ageMs > ignoreOlderMs
  }
}

function withoutNumber(point: ResumePoint): ResumePoint {
  return { ...point, identity: unknownIdentity }
}

function startOf(resume: ResumePoint | undefined): Start | undefined {
  return resume && { resume }
}

/** Where it was found, and where it lies once links are followed. */
function pathsOf({ found, place }: Met): readonly Uint8Array[] {
  const lies = logPathToBytes(place.path)
  return equalBytes(found.path, lies) ? [lies] : [found.path, lies]
}

/** Whether all that was read of it stands in the file. */
async function holds({ position, evidence }: ResumePoint, { file, facts, witness }: Met): Promise<boolean> {
  return position <= facts.size && (await witness.says(file, evidence)) === 'holds'
}
