import { lanes } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import type { FileIdentity, FilePlace, ResumePoint } from '../queue/resume-point.ts'
import type { SourceConfig } from '../source-config.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import { beginStream } from './begin-stream.ts'
import { endedBetween, type Ended } from './ending.ts'
import type { Endings } from './endings.ts'
import type { FoundFile } from './find-files.ts'
import type { Follower } from './follower.ts'
import { Generation } from './generation.ts'
import { identityKey, identityOf, mayBeSame, recognise, recogniseByContent } from './identity.ts'
import type { Round, Stranger } from './round.ts'
import { sideBySide } from './side-by-side.ts'
import { Witness } from './witness.ts'

/** A file that nobody follows yet. */
interface Unknown {
  readonly found: FoundFile
  readonly facts: FileFacts
  readonly identity: FileIdentity
  readonly place: FilePlace
}

/** It was opened. */
interface Met extends Unknown {
  readonly file: OpenFile
  readonly witness: Witness
}

/** Where a file is to be read on. */
interface Start {
  readonly resume: ResumePoint
  /** Of its file, where they were asked for again. */
  readonly facts?: FileFacts
  /** It goes on in a stream that was there. */
  readonly isKnown?: boolean
  /** What the file was before, and is to end first. */
  readonly after?: Ended
}

/** Whom a look is about to have followed. */
interface Newcomer {
  readonly generation: Generation
  readonly isKnown: boolean
  readonly after: Ended | undefined
}

const nsPerMs = 1_000_000
const notHandedOver = 'it is there under another identity, and what was read of it is not yet in the queue'
/** Whose resume points are stored with one write. */
const strangersAtOnce = 256
/** Met at the same time, where there are handles enough. */
const mostSideBySide = 8

/** Finds out whether a file that nobody follows is one that was read before, and has it followed. */
export class Strangers {
  readonly #follower: Follower
  readonly #endings: Endings
  readonly #queue: Queue
  readonly #world: World
  /** Files that are too old, and when they were written to; by identity. */
  readonly #ignored = new Map<string, bigint>()
  /** Of files that could not be recognised, because of the disk; by identity. */
  readonly #witnesses = new Map<string, Witness>()
  /** The agent knows of no file yet: those that are there were there before it. */
  #isFirstLook: boolean
  /** The disk refused, and they are met again. */
  #isAnyGivenUp = false

  constructor(follower: Follower, endings: Endings, queue: Queue, world: World) {
    this.#follower = follower
    this.#endings = endings
    this.#queue = queue
    this.#world = world
    this.#isFirstLook = queue.isNew
  }

  /** Those whose path is known first: what is left of the resume points after that can only be of files that were renamed. */
  async meetAll(round: Round, signal: AbortSignal): Promise<void> {
    await this.#meetEach(round.strangers, round, signal)
    round.isRenaming = true
    await this.#meetEach(round.later, round, signal)
    if (!this.#isAnyGivenUp) this.#isFirstLook = false
    this.#isAnyGivenUp = false
    this.#forgetAllBut(round.seen)
  }

  /** Of files that are gone nothing is kept. */
  #forgetAllBut(seen: ReadonlyMap<string, unknown>): void {
    for (const known of [this.#ignored, this.#witnesses])
      for (const key of known.keys()) if (!seen.has(key)) known.delete(key)
  }

  /** Those of the highest lane first: there may be thousands of others. */
  async #meetEach(all: readonly Stranger[], round: Round, signal: AbortSignal): Promise<void> {
    const strangers = all.toSorted((a, b) => rankOf(a) - rankOf(b))
    for (let from = 0; from < strangers.length && !signal.aborted; from += strangersAtOnce) {
      const met = new Map<string, Newcomer>()
      const some = strangers.slice(from, from + strangersAtOnce)
      await sideBySide(some, this.#mostAtOnce, (stranger) =>
        round.attempt(stranger.found.path, () => this.#meet(stranger, met, round)),
      )
      await this.#follow([...met.values()]).catch((cause: unknown) => this.#giveUp(met, round, cause))
    }
  }

  /** Each is open before it counts among the files that are. */
  get #mostAtOnce(): number {
    return Math.max(1, Math.min(mostSideBySide, Math.floor(this.#follower.openFiles.most / 4)))
  }

  /** Their resume points are stored before their first records, so that every record's stream is known. */
  async #follow(newcomers: readonly Newcomer[]): Promise<void> {
    const { resumePoints } = this.#queue
    // A stream whose end was stored meanwhile is over: the next look meets its file again.
    const isOver = ({ isKnown, generation: { resume } }: Newcomer): boolean =>
      isKnown && !resumePoints.has(resume.stream)
    for (const { generation } of newcomers.filter(isOver)) await this.#follower.openFiles.close(generation)
    const met = newcomers.filter((newcomer) => !isOver(newcomer))
    const begun = met.flatMap(({ generation: { resume }, after }) =>
      after || resumePoints.get(resume.stream) === resume ? [] : [resume],
    )
    if (begun.length > 0) await this.#queue.setResumePoints(begun)
    for (const { generation, after } of met) {
      if (after) this.#replace(after, generation)
      this.#follower.follow(generation)
    }
  }

  /** No look waits for room for the loss record. */
  #replace(after: Ended, next: Generation): void {
    this.#endings.replace(after.label.stream, async () => this.#endings.lastOf(after), next)
  }

  /** The next look meets them again. */
  async #giveUp(met: ReadonlyMap<string, Newcomer>, round: Round, cause: unknown): Promise<void> {
    this.#isAnyGivenUp = true
    for (const { generation } of met.values()) {
      round.trouble(generation.path, cause)
      await this.#follower.openFiles.close(generation)
    }
  }

  /** Whether the file of this identity was left alone as too old, was not written to since, and is too old by the clock of now. */
  ignores(key: string, facts: FileFacts, source: SourceConfig): boolean {
    return this.#ignored.get(key) === facts.modifiedNs && this.#isTooOld(facts, source)
  }

  async #meet(stranger: Stranger, met: Map<string, Newcomer>, round: Round): Promise<void> {
    const { found, facts: seen } = stranger
    if (this.ignores(stranger.key, seen, found.source)) return
    const { openFiles, followed } = this.#follower
    if (openFiles.areAllTaken && this.#isPlainlyNew(stranger, round))
      return this.#meetUnopened(stranger, met, round)
    const file = await openFiles.open(found.path)
    try {
      const newcomer = await this.#recognise(found, file, round)
      const key = newcomer?.generation.key
      // Between the look at the path and its opening, a link may have been set to another file.
      if (!newcomer || key === undefined || followed.has(key) || met.has(key))
        return await file[Symbol.asyncDispose]()
      met.set(key, newcomer)
      await openFiles.keep(newcomer.generation, file)
    } catch (cause) {
      await file[Symbol.asyncDispose]()
      throw cause
    }
  }

  /** No byte of it need be read to say that it begins a stream. */
  #isPlainlyNew({ found: { source, isLink }, facts, key }: Stranger, round: Round): boolean {
    const isPassedOver = this.#isFirstLook && source.startAt === 'end'
    if (isPassedOver || isLink || round.pointsByKey(this.#queue).has(key)) return false
    const missing = round.missingPoints(this.#queue, this.#follower.followed, this.#endings)
    return ![...missing].some((point) => mayBeSame(point.identity, identityOf(facts)))
  }

  /** Its handle would be another's: it is opened when it has its turn. */
  async #meetUnopened(
    { found, facts, key }: Stranger,
    met: Map<string, Newcomer>,
    round: Round,
  ): Promise<void> {
    const { pathKey, source } = found
    const place = await round.places.of(found.path, found.isLink)
    const resume = await this.#begin({ found, facts, identity: identityOf(facts), place })
    if (!resume || this.#follower.followed.has(key) || met.has(key)) return
    const nowMs = this.#world.clock.monotonicMs()
    const generation = new Generation(resume, source, { pathKey, place, facts }, nowMs)
    met.set(key, { generation, isKnown: false, after: undefined })
  }

  async #recognise(found: FoundFile, file: OpenFile, round: Round): Promise<Newcomer | undefined> {
    const { pathKey, source } = found
    const facts = await file.facts()
    if (!facts.isFile) return undefined
    const identity = identityOf(facts)
    const place = await round.places.of(found.path, found.isLink)
    const known = identityKey(identity)
    const witness = this.#witnesses.get(known) ?? new Witness()
    this.#witnesses.set(known, witness)
    const start = await this.#start({ found, file, facts, identity, place, witness }, round)
    this.#witnesses.delete(known)
    if (!start) return undefined
    const nowMs = this.#world.clock.monotonicMs()
    const seen = { pathKey, place, facts: start.facts ?? facts }
    const generation = new Generation(start.resume, source, seen, nowMs)
    generation.isSuspect = generation.mayHaveChanged(seen.facts)
    return { generation, isKnown: start.isKnown === true, after: start.after }
  }

  /** From where it is to be read; undefined where it is to be left alone. */
  async #start(met: Met, round: Round): Promise<Start | undefined> {
    const known = round.pointsByKey(this.#queue).get(identityKey(met.identity))
    // Its end may have been stored since the round began.
    if (known && this.#queue.resumePoints.has(known.stream)) return this.#startKnown(known, met)
    const resume = await round.inTurn(() => this.#resumeUnknown(met, round))
    return resume && { resume }
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
    const resume = await this.#begin({ ...met, facts }, file)
    if (resume) return { resume, facts, after }
    this.#endings.end(after)
    return undefined
  }

  /** Of a file that has an identity which nobody knows. */
  async #resumeUnknown(met: Met, round: Round): Promise<ResumePoint | undefined> {
    const { found, facts, identity } = met
    const point = await this.#resumeByContent(met, round)
    if (point === 'nextLook') return undefined
    if (point || round.isRenaming || !this.#mayBeRenamed(identity, round))
      return point ?? this.#begin(met, met.file)
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
    if (before && !(await this.#follower.handOver(before))) {
      round.trouble(met.found.path, notHandedOver)
      return 'nextLook'
    }
    return { ...(before?.resume ?? point), identity, place }
  }

  async #begin(met: Unknown, file?: OpenFile): Promise<ResumePoint | undefined> {
    const { found, facts, identity } = met
    if (this.#isTooOld(facts, found.source)) {
      this.#ignored.set(identityKey(identity), facts.modifiedNs)
      return undefined
    }
    const isPassedOver = this.#isFirstLook && found.source.startAt === 'end'
    const at = { pathKey: found.pathKey, place: met.place, identity }
    const resume = await beginStream(at, file, isPassedOver ? facts.size : 0, this.#world.chance)
    return { ...resume, changedNs: String(facts.changedNs) }
  }

  #isTooOld({ modifiedNs }: FileFacts, { ignoreOlderMs }: SourceConfig): boolean {
    if (ignoreOlderMs === undefined) return false
    const ageMs = this.#world.clock.wallMs() - Number(modifiedNs) / nsPerMs
    return ageMs > ignoreOlderMs
  }
}

function rankOf({ found }: Stranger): number {
  return lanes.indexOf(found.source.priority)
}
