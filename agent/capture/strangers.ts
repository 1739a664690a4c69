import { lanes } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import type { FileIdentity, FilePlace, ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import { beginStream } from './begin-stream.ts'
import { endStream } from './ending.ts'
import type { FoundFile } from './find-files.ts'
import type { Follower } from './follower.ts'
import { Generation } from './generation.ts'
import { identityKey, identityOf, recognise, recogniseByContent } from './identity.ts'
import type { Round, Stranger } from './round.ts'
import { sideBySide } from './side-by-side.ts'
import { Witness } from './witness.ts'

/** A file that nobody follows yet, opened. */
interface Met {
  readonly found: FoundFile
  readonly file: OpenFile
  readonly facts: FileFacts
  readonly identity: FileIdentity
  readonly place: FilePlace
  readonly witness: Witness
}

const nsPerMs = 1_000_000
/** Whose resume points are stored with one write. */
const strangersAtOnce = 256
/** Met at the same time, where there are handles enough. */
const mostSideBySide = 8

/** Finds out whether a file that nobody follows is one that was read before, and has it followed. */
export class Strangers {
  readonly #follower: Follower
  readonly #queue: Queue
  readonly #world: World
  readonly #patience: AbortSignal
  /** Files that are too old, and when they were written to; by identity. */
  readonly #ignored = new Map<string, bigint>()
  /** Of files that could not be recognised, because of the disk; by identity. */
  readonly #witnesses = new Map<string, Witness>()
  /** The agent knows of no file yet: those that are there were there before it. */
  #isFirstLook: boolean

  constructor(follower: Follower, queue: Queue, world: World, patience: AbortSignal) {
    this.#follower = follower
    this.#queue = queue
    this.#world = world
    this.#patience = patience
    this.#isFirstLook = queue.isNew
  }

  /** Those whose path is known first: what is left of the resume points after that can only be of files that were renamed. */
  async meetAll(round: Round, signal: AbortSignal): Promise<void> {
    await this.#meetEach(round.strangers, round, signal)
    round.isRenaming = true
    await this.#meetEach(round.later, round, signal)
    this.#isFirstLook = false
  }

  /** Those of the highest lane first: there may be thousands of others. */
  async #meetEach(all: readonly Stranger[], round: Round, signal: AbortSignal): Promise<void> {
    const strangers = all.toSorted((a, b) => rankOf(a) - rankOf(b))
    for (let from = 0; from < strangers.length && !signal.aborted; from += strangersAtOnce) {
      const met = new Map<string, Generation>()
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
  async #follow(met: readonly Generation[]): Promise<void> {
    const { resumePoints } = this.#queue
    const begun = met.map(({ resume }) => resume).filter((point) => resumePoints.get(point.stream) !== point)
    if (begun.length > 0) await this.#queue.setResumePoints(begun)
    for (const generation of met) this.#follower.follow(generation)
  }

  /** The next look meets them again. */
  async #giveUp(met: ReadonlyMap<string, Generation>, round: Round, cause: unknown): Promise<void> {
    for (const generation of met.values()) {
      round.trouble(generation.path, cause)
      await this.#follower.openFiles.close(generation)
    }
  }

  /** Whether the file of this identity is too old, and was not written to since that was found. */
  ignores(key: string, { modifiedNs }: FileFacts): boolean {
    return this.#ignored.get(key) === modifiedNs
  }

  async #meet(
    { found, facts: seen, key }: Stranger,
    met: Map<string, Generation>,
    round: Round,
  ): Promise<void> {
    if (this.ignores(key, seen)) return
    const { openFiles, followed } = this.#follower
    const file = await openFiles.open(found.path)
    try {
      const generation = await this.#recognise(found, file, round)
      // Between the look at the path and its opening, a link may have been set to another file.
      if (!generation || followed.has(generation.key) || met.has(generation.key))
        return await file[Symbol.asyncDispose]()
      met.set(generation.key, generation)
      await openFiles.keep(generation, file)
    } catch (cause) {
      await file[Symbol.asyncDispose]()
      throw cause
    }
  }

  async #recognise(found: FoundFile, file: OpenFile, round: Round): Promise<Generation | undefined> {
    const { path, source } = found
    const facts = await file.facts()
    if (!facts.isFile) return undefined
    const identity = identityOf(facts)
    const place = await round.places.of(path, found.isLink)
    const known = identityKey(identity)
    const witness = this.#witnesses.get(known) ?? new Witness()
    this.#witnesses.set(known, witness)
    const resume = await this.#resume({ found, file, facts, identity, place, witness }, round)
    this.#witnesses.delete(known)
    if (!resume) return undefined
    const nowMs = this.#world.clock.monotonicMs()
    const generation = new Generation(resume, source, { path, place, facts }, nowMs)
    generation.isSuspect = mayHaveChanged(generation, facts)
    return generation
  }

  /** From where it is to be read; undefined where it is to be left alone. */
  async #resume(met: Met, round: Round): Promise<ResumePoint | undefined> {
    const { found, file, facts, identity, witness } = met
    const known = round.pointsByKey(this.#queue).get(identityKey(identity))
    if (!known) return round.inTurn(() => this.#resumeUnknown(met, round))
    const is = await recognise(known, file, facts, found.source.format, witness)
    if (is === 'same') return known
    return (await this.#end(known, met, is)) ? this.#begin(met) : undefined
  }

  /** Of a file that has an identity which nobody knows. */
  async #resumeUnknown(met: Met, round: Round): Promise<ResumePoint | undefined> {
    const { found, facts, identity } = met
    const point = await this.#resumeByContent(met, round)
    if (point === 'nextLook') return undefined
    if (point || round.isRenaming || !round.mayBeRenamed(this.#queue, this.#follower.followed, identity))
      return point ?? this.#begin(met)
    round.later.push({ found, facts, key: identityKey(identity) })
    return undefined
  }

  async #resumeByContent(met: Met, round: Round): Promise<ResumePoint | 'nextLook' | undefined> {
    const { file, facts, identity, place } = met
    const missing = round.missingPoints(this.#queue, this.#follower.followed)
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

  async #begin(met: Met): Promise<ResumePoint | undefined> {
    const { found, facts, identity, file } = met
    if (this.#isTooOld(met)) {
      this.#ignored.set(identityKey(identity), facts.modifiedNs)
      return undefined
    }
    const isPassedOver = this.#isFirstLook && found.source.startAt === 'end'
    const at = { path: found.path, place: met.place, identity }
    return beginStream(at, file, isPassedOver ? facts.size : 0, this.#world.chance)
  }

  #isTooOld({ found: { source }, facts }: Met): boolean {
    if (source.ignoreOlderMs === undefined) return false
    const ageMs = this.#world.clock.wallMs() - Number(facts.modifiedNs) / nsPerMs
    return ageMs > source.ignoreOlderMs
  }

  /** While the agent was off, what it read was taken out of the file. */
  #end(point: ResumePoint, { found: { source } }: Met, why: 'truncated' | 'overwritten'): Promise<boolean> {
    const label = { stream: point.stream, path: point.path, tags: source.tags }
    const ended = { label, lane: source.priority, point, why }
    return endStream(ended, this.#queue, this.#world.journal, this.#patience)
  }
}

function rankOf({ found }: Stranger): number {
  return lanes.indexOf(found.source.priority)
}

/** A binary file that was written to since it was read may have been changed in place. */
function mayHaveChanged({ isText, resume }: Generation, { modifiedNs }: FileFacts): boolean {
  return !isText && resume.position > 0 && resume.closed?.modifiedNs !== String(modifiedNs)
}
