import type { StreamId } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Recall } from '../deliver/recall.ts'
import type { Queue } from '../queue/queue.ts'
import type { ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import type { Attention } from './attention.ts'
import type { Endings } from './endings.ts'
import { pathOfKey, type FileSearch, type Spot } from './find-files.ts'
import type { Follower } from './follower.ts'
import type { Generation } from './generation.ts'
import { identityKey } from './identity.ts'
import { LostStreams } from './lost-streams.ts'
import { placeOf, Places } from './places.ts'
import { isOnlyTouched } from './read-on.ts'
import { Round, type Seen, type Sight } from './round.ts'
import { SpotCheck } from './spot-check.ts'
import { Strangers } from './strangers.ts'

/** What the last look that was not like the one before it left. */
interface View {
  readonly sight: Sight
  readonly walked: ReadonlySet<string>
  /** How often it had changed then who is followed. */
  readonly changes: number
}

/** Looks where the files are: which there are, which came, which went. */
export class Lookout {
  readonly #follower: Follower
  readonly #endings: Endings
  readonly #queue: Queue
  readonly #world: World
  readonly #attention: Attention
  readonly #lost: LostStreams
  readonly #strangers: Strangers
  readonly #spots: SpotCheck
  #view: View | undefined

  constructor(
    search: FileSearch,
    attention: Attention,
    follower: Follower,
    endings: Endings,
    queue: Queue,
    world: World,
    recall?: Recall,
  ) {
    this.#attention = attention
    this.#follower = follower
    this.#endings = endings
    this.#queue = queue
    this.#world = world
    this.#lost = new LostStreams(queue, world, recall)
    this.#strangers = new Strangers(follower, endings, queue, world)
    this.#spots = new SpotCheck(search, attention, follower, this.#strangers, world)
  }

  /**
   * Every file that was there is followed then, or named in what it gives; undefined when the signal fires before. Without
   * `isThorough` some files are left out of which the kernel tells, and has told nothing.
   */
  async look(isThorough: boolean, signal: AbortSignal): Promise<Sight | undefined> {
    const round = new Round(new Places(this.#world.files))
    this.#attention.begin(isThorough)
    const spots = await this.#spots.look(round, signal)
    if (signal.aborted) return undefined
    const view = this.#view
    const isAsBefore = view && this.#isAsBefore(round, view)
    const sight = isAsBefore ? this.#lookedAgain(view) : await this.#lookAround(spots, round, signal)
    if (sight) await this.lookAtDraining()
    if (sight && !round.isPutOff) await this.#queue.looked(this.#pathOf)
    return sight
  }

  /** Looks only at what is still written to the files that no glob leads to any more. Gives whether there are any. */
  lookAtDraining(): Promise<boolean> {
    return this.#spots.lookAtDraining()
  }

  /** Every path leads to the file to which it led before, and those are followed that were. */
  #isAsBefore({ isStirred, walked }: Round, before: View): boolean {
    if (isStirred || before.changes !== this.#follower.changes || before.sight.troubled.size > 0) return false
    return walked.size === before.walked.size && walked.isSubsetOf(before.walked)
  }

  #lookedAgain({ sight }: View): Sight {
    const { resumePoints } = this.#queue
    const unfollowed = sight.unfollowed.filter((point) => resumePoints.get(point.stream) === point)
    return { ...sight, unfollowed }
  }

  async #lookAround(
    spots: readonly (readonly Spot[])[],
    round: Round,
    signal: AbortSignal,
  ): Promise<Sight | undefined> {
    for (const some of spots) for (const spot of some) this.#count(spot, round)
    // Those that moved first: what has their old name now is another file.
    for (const generation of this.#follower.followed.values()) await this.#placeAgain(generation, round)
    if (round.strangers.length > 0) await this.#noteVanished(round)
    const isNoted = await this.#strangers.note(round)
    round.isPutOff = !isNoted || !(await this.#lost.find(round.strangers, round, signal))
    if (!round.isPutOff) await this.#strangers.meetAll(round, signal)
    if (signal.aborted) return undefined
    const { changes, followed } = this.#follower
    for (const generation of followed.values()) round.place(generation)
    const sight = { ...round.sight, unfollowed: this.#unfollowed(round) }
    this.#view = { sight, walked: round.walked, changes }
    return sight
  }

  #count(spot: Spot, round: Round): void {
    if (!spot.seen) return
    const { key, facts } = spot.seen
    if (round.saw(key, spot, facts) || this.#follower.followed.has(key)) return
    if (!this.#strangers.ignores(key, facts, spot.source)) round.strangers.push({ found: spot, facts, key })
  }

  /** A file that was deleted is none of those that came, whatever they hold. */
  async #noteVanished(round: Round): Promise<void> {
    for (const generation of this.#follower.followed.values()) {
      if (round.seen.has(generation.key) || round.isHidden(generation.path)) continue
      const file = this.#follower.openFiles.peek(generation)
      const facts = await file?.facts().catch(() => undefined)
      if (facts?.links !== 0 && isProvable(generation, file)) round.vanished.add(generation.key)
    }
  }

  /** Where the file lies now, or that no glob leads to it any more. */
  async #placeAgain(generation: Generation, round: Round): Promise<void> {
    const seen = round.seen.get(generation.key)
    if (seen) await round.attempt(pathOfKey(seen.first), () => this.#placeAt(generation, seen))
    else if (!round.isHidden(generation.path)) this.#unlist(generation)
  }

  async #placeAt(generation: Generation, { paths, first, facts }: Seen): Promise<void> {
    if (!paths.includes(generation.pathKey)) {
      const place = await placeOf(this.#world.files, pathOfKey(first))
      generation.isRenamed = true
      generation.pathKey = first
      generation.place = place
      this.#doubt(generation, facts)
    }
    if (isOnlyTouched(generation.facts, facts) && generation.turn === 'none')
      await this.#settle(generation, facts)
  }

  /** A file that nobody holds open, and that has no time of birth, may have been deleted, and another one have its inode. */
  #doubt(generation: Generation, { birthNs }: FileFacts): void {
    if (birthNs !== 0n || this.#follower.openFiles.peek(generation)) return
    generation.doubt = 'all'
    this.#follower.turns.want(generation)
  }

  /** A new name, link or mode changes the time of change, and no byte; nothing else does that to a file that is only read. */
  async #settle(generation: Generation, facts: FileFacts): Promise<void> {
    const { facts: before, isRenamed, resume, isClosedAsItStands } = generation
    const isExplained = isRenamed || facts.links !== before.links || facts.mode !== before.mode
    generation.isRenamed = false
    generation.facts = facts
    if (!isExplained) generation.isSuspect = true
    if (!isExplained || !isClosedAsItStands || !resume.closed) return
    const closed = { ...resume.closed, changedNs: String(facts.changedNs) }
    generation.resume = { ...resume, closed, place: generation.place, changedNs: closed.changedNs }
    await this.#queue.setResumePoint(generation.resume)
  }

  #unlist(generation: Generation): void {
    if (generation.isListed) this.#follower.turns.want(generation)
    generation.isListed = false
  }

  /** Kept by the queue: it must hold nothing of a look. */
  readonly #pathOf = (stream: StreamId): Uint8Array | undefined => {
    const files = [...this.#follower.followed.values()]
    return files.find(({ label }) => label.stream === stream)?.path
  }

  #unfollowed(round: Round): ResumePoint[] {
    const { followed } = this.#follower
    return [...this.#queue.resumePoints.values()].filter(({ stream, place, path, identity }) => {
      const key = identityKey(identity)
      if (followed.get(key)?.label.stream === stream || this.#endings.isUnderWay(stream)) return false
      // It is there under another name, and could not be opened, or its point not be stored.
      if (round.seen.has(key)) return false
      return !round.isHidden(logPathToBytes(place?.path ?? path))
    })
  }
}

/** Whether another look could find out that it is this file. Of one of which nothing was read only its time of birth tells. */
function isProvable({ resume: { evidence, identity } }: Generation, file: OpenFile | undefined): boolean {
  return evidence.length > 0 || (!file && identity.birthNs !== '0')
}
