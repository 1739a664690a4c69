import { lanes } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import type { SourceConfig } from '../source-config.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import { Beginnings } from './beginnings.ts'
import type { Ended } from './ending.ts'
import type { Endings } from './endings.ts'
import type { Follower } from './follower.ts'
import { Generation } from './generation.ts'
import { identityKey, identityOf } from './identity.ts'
import type { Round, Stranger } from './round.ts'
import { factsOf } from './second-look.ts'
import { sideBySide } from './side-by-side.ts'
import { Witness } from './witness.ts'

/** Whom a look is about to have followed. */
interface Newcomer {
  readonly generation: Generation
  readonly isKnown: boolean
  readonly after: Ended | undefined
}

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
  readonly #beginnings: Beginnings
  /** Of files that could not be recognised, because of the disk; by identity. */
  readonly #witnesses = new Map<string, Witness>()

  constructor(follower: Follower, endings: Endings, queue: Queue, world: World) {
    this.#follower = follower
    this.#beginnings = new Beginnings(follower, endings, queue, world)
    this.#endings = endings
    this.#queue = queue
    this.#world = world
  }

  /** To be called before they are met, which must not be where it gives false: the disk refuses, and the next look asks again. */
  note(round: Round): Promise<boolean> {
    return this.#beginnings.noteThereBefore(round)
  }

  /** Those whose path is known first: what is left of the resume points after that can only be of files that were renamed. */
  async meetAll(round: Round, signal: AbortSignal): Promise<void> {
    await this.#meetEach(round.strangers, round, signal)
    for (const pass of ['renamed', 'last'] as const) await this.#meetEach(round.begin(pass), round, signal)
    await this.#beginnings.settle(round)
    for (const key of this.#witnesses.keys()) if (!round.seen.has(key)) this.#witnesses.delete(key)
  }

  /** Those of the highest lane first: there may be thousands of others. */
  async #meetEach(all: readonly Stranger[], round: Round, signal: AbortSignal): Promise<void> {
    const strangers = all.toSorted((a, b) => rankOf(a) - rankOf(b))
    for (let from = 0; from < strangers.length && !signal.aborted; from += strangersAtOnce) {
      const met = new Map<string, Newcomer>()
      const some = strangers.slice(from, from + strangersAtOnce)
      await sideBySide(some, this.#mostAtOnce, (stranger) =>
        round.attempt(stranger.found.path, () => this.#meet(stranger, met, round, signal)),
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
    for (const { generation } of met.values()) {
      round.trouble(generation.path, cause)
      await this.#follower.openFiles.close(generation)
    }
  }

  /** Whether the file of this identity was left alone as too old, was not written to since, and is too old by the clock of now. */
  ignores(key: string, facts: FileFacts, source: SourceConfig): boolean {
    return this.#beginnings.ignores(key, facts, source)
  }

  async #meet(
    stranger: Stranger,
    met: Map<string, Newcomer>,
    round: Round,
    signal: AbortSignal,
  ): Promise<void> {
    const { found, facts: seen } = stranger
    if (this.ignores(stranger.key, seen, found.source)) return
    const { openFiles, followed } = this.#follower
    if (openFiles.areAllTaken && this.#beginnings.isPlainlyNew(stranger, round))
      return this.#meetUnopened(stranger, met, round)
    const file = await openFiles.open(found.path)
    try {
      const newcomer = await this.#recognise(stranger, file, round, signal)
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

  /** Its handle would be another's: it is opened when it has its turn. */
  async #meetUnopened(
    { found, facts, key }: Stranger,
    met: Map<string, Newcomer>,
    round: Round,
  ): Promise<void> {
    const { pathKey, source } = found
    const place = await round.places.of(found.path, found.isLink)
    const resume = await this.#beginnings.begin({ found, facts, identity: identityOf(facts), place })
    if (!resume || this.#follower.followed.has(key) || met.has(key)) return
    const nowMs = this.#world.clock.monotonicMs()
    const generation = new Generation(resume, source, { pathKey, place, facts }, nowMs)
    met.set(key, { generation, isKnown: false, after: undefined })
  }

  async #recognise(
    stranger: Stranger,
    file: OpenFile,
    round: Round,
    signal: AbortSignal,
  ): Promise<Newcomer | undefined> {
    const { found } = stranger
    const { pathKey, source } = found
    const facts = await factsOf(file, this.#beginnings.readOf(stranger, round), this.#world.clock, signal)
    if (!facts.isFile) return undefined
    const identity = identityOf(facts)
    const place = await round.places.of(found.path, found.isLink)
    const known = identityKey(identity)
    const witness = this.#witnesses.get(known) ?? new Witness()
    this.#witnesses.set(known, witness)
    const start = await this.#beginnings.of({ found, file, facts, identity, place, witness }, round)
    this.#witnesses.delete(known)
    if (!start) return undefined
    const nowMs = this.#world.clock.monotonicMs()
    const seen = { pathKey, place, facts: start.facts ?? facts }
    const generation = new Generation(start.resume, source, seen, nowMs)
    generation.isSuspect = generation.mayHaveChanged(seen.facts)
    return { generation, isKnown: start.isKnown === true, after: start.after }
  }
}

function rankOf({ found }: Stranger): number {
  return lanes.indexOf(found.source.priority)
}
