import type { Queue } from '../queue/queue.ts'
import type { FileIdentity, FilePlace, ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import { beginStream } from './begin-stream.ts'
import { endStream } from './ending.ts'
import type { FoundFile } from './find-files.ts'
import type { Follower } from './follower.ts'
import { Generation } from './generation.ts'
import { identityKey, identityOf, recognise, recogniseByContent } from './identity.ts'
import { placeOf } from './places.ts'
import type { Round, Stranger } from './round.ts'

/** A file that nobody follows yet, opened. */
interface Met {
  readonly path: Uint8Array
  readonly source: FoundFile['source']
  readonly file: OpenFile
  readonly facts: FileFacts
  readonly identity: FileIdentity
  readonly place: FilePlace
}

const nsPerMs = 1_000_000

/** Finds out whether a file that nobody follows is one that was read before, and has it followed. */
export class Strangers {
  readonly #follower: Follower
  readonly #queue: Queue
  readonly #world: World
  readonly #patience: AbortSignal
  /** Files that are too old, and when they were written to; by identity. */
  readonly #ignored = new Map<string, bigint>()
  /** The agent knows of no file yet: those that are there were there before it. */
  #isFirstLook: boolean

  constructor(follower: Follower, queue: Queue, world: World, patience: AbortSignal) {
    this.#follower = follower
    this.#queue = queue
    this.#world = world
    this.#patience = patience
    this.#isFirstLook = queue.resumePoints.size === 0 && queue.head.next === 0
  }

  async meetAll(round: Round, signal: AbortSignal): Promise<void> {
    for (const stranger of round.strangers) {
      if (signal.aborted) return
      await round.attempt(stranger.found.path, () => this.#meet(stranger, round))
    }
    this.#isFirstLook = false
  }

  async #meet({ found, facts: seen, key }: Stranger, round: Round): Promise<void> {
    if (this.#ignored.get(key) === seen.modifiedNs) return
    const file = await this.#follower.openFiles.open(found.path)
    try {
      const isFollowed = await this.#follow(found, file, round)
      if (!isFollowed) await file[Symbol.asyncDispose]()
    } catch (cause) {
      await file[Symbol.asyncDispose]()
      throw cause
    }
  }

  async #follow({ path, source }: FoundFile, file: OpenFile, round: Round): Promise<boolean> {
    const facts = await file.facts()
    const identity = identityOf(facts)
    // Between the look at the path and its opening, a link may have been set to another file.
    if (!facts.isFile || this.#follower.followed.has(identityKey(identity))) return false
    const place = await placeOf(this.#world.files, path)
    const resume = await this.#resume({ path, source, file, facts, identity, place }, round)
    if (!resume) return false
    const nowMs = this.#world.clock.monotonicMs()
    const generation = new Generation(resume, source, { path, place, facts }, nowMs)
    generation.isSuspect = mayHaveChanged(generation, facts)
    await this.#follower.follow(generation, file)
    return true
  }

  /** From where it is to be read; undefined where it is to be left alone. */
  async #resume(met: Met, round: Round): Promise<ResumePoint | undefined> {
    const { file, facts, identity, source } = met
    const known = round.pointsByKey(this.#queue).get(identityKey(identity))
    if (!known) return (await this.#resumeByContent(met, round)) ?? this.#begin(met)
    const is = await recognise(known, file, facts, source.format)
    if (is === 'same') return known
    return (await this.#end(known, met, is)) ? this.#begin(met) : undefined
  }

  async #resumeByContent(met: Met, round: Round): Promise<ResumePoint | undefined> {
    const { file, facts, identity, place } = met
    const missing = round.missingPoints(this.#queue, this.#follower.followed)
    const point = await recogniseByContent(missing, { path: met.path, identity }, file, facts)
    if (!point) return undefined
    const adopted = { ...point, identity, place }
    await this.#queue.setResumePoint(adopted)
    return adopted
  }

  async #begin(met: Met): Promise<ResumePoint | undefined> {
    const { source, facts, identity, file } = met
    if (this.#isTooOld(met)) {
      this.#ignored.set(identityKey(identity), facts.modifiedNs)
      return undefined
    }
    const isPassedOver = this.#isFirstLook && source.startAt === 'end'
    return beginStream(met, file, isPassedOver ? facts.size : 0, this.#queue, this.#world.chance)
  }

  #isTooOld({ source, facts }: Met): boolean {
    if (source.ignoreOlderMs === undefined) return false
    const ageMs = this.#world.clock.wallMs() - Number(facts.modifiedNs) / nsPerMs
    return ageMs > source.ignoreOlderMs
  }

  /** While the agent was off, what it read was taken out of the file. */
  #end(point: ResumePoint, { source }: Met, why: 'truncated' | 'overwritten'): Promise<boolean> {
    const label = { stream: point.stream, path: point.path, tags: source.tags }
    const ended = { label, lane: source.priority, point, why }
    return endStream(ended, this.#queue, this.#world.journal, this.#patience)
  }
}

/** A binary file that was written to since it was read may have been changed in place. */
function mayHaveChanged({ isText, resume }: Generation, { modifiedNs }: FileFacts): boolean {
  return !isText && resume.position > 0 && resume.closed?.modifiedNs !== String(modifiedNs)
}
