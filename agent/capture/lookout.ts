import type { StreamId } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Recall } from '../deliver/recall.ts'
import type { Queue } from '../queue/queue.ts'
import type { ResumePoint } from '../queue/resume-point.ts'
import type { FileFacts, World } from '../world.ts'
import { pathKey, type FileSearch, type FoundFile } from './find-files.ts'
import type { Follower } from './follower.ts'
import type { Generation } from './generation.ts'
import { identityKey, identityOf } from './identity.ts'
import { LostStreams } from './lost-streams.ts'
import { placeOf } from './places.ts'
import { hasLastBytes, isOnlyTouched } from './read-on.ts'
import { Round, type Seen, type Sight } from './round.ts'
import { Strangers } from './strangers.ts'

/** Looks where the files are: which there are, which came, which went. */
export class Lookout {
  readonly #search: FileSearch
  readonly #follower: Follower
  readonly #queue: Queue
  readonly #world: World
  readonly #lost: LostStreams
  readonly #strangers: Strangers

  constructor(
    search: FileSearch,
    follower: Follower,
    queue: Queue,
    world: World,
    patience: AbortSignal,
    recall?: Recall,
  ) {
    this.#search = search
    this.#follower = follower
    this.#queue = queue
    this.#world = world
    this.#lost = new LostStreams(queue, world, recall)
    this.#strangers = new Strangers(follower, queue, world, patience)
  }

  /** Every file that was there is followed then, or named in what it gives; undefined when the signal fires before. */
  async look(signal: AbortSignal): Promise<Sight | undefined> {
    const round = new Round()
    for await (const found of this.#search.find(round)) {
      if (signal.aborted) return undefined
      await round.attempt(found.path, () => this.#notice(found, round))
    }
    // Those that moved first: what has their old name now is another file.
    for (const generation of this.#follower.followed.values()) await this.#placeAgain(generation, round)
    if (round.strangers.length > 0) await this.#noteVanished(round)
    await this.#lost.find(round.strangers, round, signal)
    await this.#strangers.meetAll(round, signal)
    if (signal.aborted) return undefined
    for (const generation of this.#follower.followed.values()) round.place(generation)
    await this.#queue.looked((stream) => this.#pathOf(stream))
    return { ...round.sight, unfollowed: this.#unfollowed(round) }
  }

  /** A file that was deleted is none of those that came, whatever they hold. */
  async #noteVanished(round: Round): Promise<void> {
    for (const generation of this.#follower.followed.values()) {
      if (round.seen.has(generation.key) || round.isHidden(generation.path)) continue
      const file = this.#follower.openFiles.peek(generation)
      const facts = await file?.facts().catch(() => undefined)
      if (facts?.links !== 0 && generation.resume.evidence.length > 0) round.vanished.add(generation.key)
    }
  }

  async #notice(found: FoundFile, round: Round): Promise<void> {
    const askedMs = this.#world.clock.monotonicMs()
    const facts = await this.#world.files.facts(found.path)
    if (!facts.isFile) return
    const key = identityKey(identityOf(facts))
    const generation = this.#follower.followed.get(key)
    const isKnown = round.saw(key, found, facts)
    if (isKnown) return
    if (generation && generation.beganMs >= askedMs) this.#follower.turns.want(generation)
    else if (generation) await this.#noticeAgain(generation, facts)
    else round.strangers.push({ found, facts, key })
  }

  async #noticeAgain(generation: Generation, facts: FileFacts): Promise<void> {
    const { turns, troubles } = this.#follower
    generation.isListed = true
    generation.size = Math.max(generation.size, facts.size)
    if (facts.size > generation.seenBytes) await this.#prove(generation)
    const isRead = facts.size === generation.readTo && facts.size === generation.size
    const isWritten = facts.modifiedNs !== generation.facts.modifiedNs
    if (!isRead || isWritten || troubles.byPath.has(pathKey(generation.path))) turns.want(generation)
  }

  /** It may be truncated or overwritten before it is read: then it matters how large it was. */
  async #prove(generation: Generation): Promise<void> {
    const file = this.#follower.openFiles.peek(generation)
    const { size } = generation
    const isIntact = file && (await hasLastBytes(generation, file).catch(() => false))
    if (isIntact) generation.proved(size)
  }

  /** Where the file lies now, or that no glob leads to it any more. */
  async #placeAgain(generation: Generation, round: Round): Promise<void> {
    const seen = round.seen.get(generation.key)
    if (seen) await round.attempt(seen.first, () => this.#placeAt(generation, seen))
    else if (!round.isHidden(generation.path)) this.#unlist(generation)
  }

  async #placeAt(generation: Generation, { paths, first, facts }: Seen): Promise<void> {
    if (!paths.some((path) => pathKey(path) === pathKey(generation.path))) {
      generation.isRenamed = true
      generation.path = first
      generation.place = await placeOf(this.#world.files, first)
    }
    if (isOnlyTouched(generation.facts, facts) && generation.turn === 'none')
      await this.#settle(generation, facts)
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
    generation.resume = { ...resume, closed, place: generation.place }
    await this.#queue.setResumePoint(generation.resume)
  }

  #unlist(generation: Generation): void {
    if (generation.isListed) this.#follower.turns.want(generation)
    generation.isListed = false
  }

  #pathOf(stream: StreamId): Uint8Array | undefined {
    const files = [...this.#follower.followed.values()]
    return files.find(({ label }) => label.stream === stream)?.path
  }

  #unfollowed(round: Round): ResumePoint[] {
    const followed = new Set([...this.#follower.followed.values()].map(({ label }) => label.stream))
    return [...this.#queue.resumePoints.values()].filter(({ stream, place, path, identity }) => {
      if (followed.has(stream) || this.#follower.isEnding(stream)) return false
      // It is there under another name, and could not be opened, or its point not be stored.
      if (round.seen.has(identityKey(identity))) return false
      return !round.isHidden(logPathToBytes(place?.path ?? path))
    })
  }
}
