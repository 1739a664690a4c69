import { logPathToBytes } from '../../protocol/log-path.ts'
import type { FileFacts, World } from '../world.ts'
import type { Attention } from './attention.ts'
import { CutShort } from './cut-short.ts'
import { isDiskError } from './disk-error.ts'
import type { FileSearch, Spot } from './find-files.ts'
import type { Follower } from './follower.ts'
import type { Generation } from './generation.ts'
import { identityKey, identityOf } from './identity.ts'
import { hasLastBytes, isOnlyTouched } from './read-on.ts'
import type { Round } from './round.ts'
import { sideBySide } from './side-by-side.ts'
import type { Strangers } from './strangers.ts'

/** A cold disk is slow to say what it knows of a file, and can say it of several at once. */
const mostSideBySide = 4

/** Looks at every path that matches, and asks the file system of those where something may have happened. */
export class SpotCheck {
  readonly #search: FileSearch
  readonly #attention: Attention
  readonly #follower: Follower
  readonly #strangers: Strangers
  readonly #world: World
  readonly #cutShort: CutShort

  constructor(
    search: FileSearch,
    attention: Attention,
    follower: Follower,
    strangers: Strangers,
    world: World,
  ) {
    this.#search = search
    this.#attention = attention
    this.#follower = follower
    this.#strangers = strangers
    this.#world = world
    this.#cutShort = new CutShort(follower, world)
  }

  /** The paths, each with what stands there now; not all of them when the signal fires. */
  async look(round: Round, signal: AbortSignal): Promise<(readonly Spot[])[]> {
    const found: (readonly Spot[])[] = []
    for await (const spots of this.#search.find(round, this.#attention)) {
      const due = spots.filter((spot) => !this.#isQuiet(spot) || this.#attention.isDue('files'))
      await sideBySide(due, mostSideBySide, async (spot) => {
        if (!signal.aborted) await this.#ask(spot, round)
      })
      if (signal.aborted) break
      found.push(spots)
    }
    await this.#cutShort.lookAgain(signal)
    return found
  }

  /**
   * The files that no glob leads to any more: of those nobody tells, and their handles are asked. Gives whether there are any;
   * one that cannot be asked has a turn, which tells why.
   */
  async lookAtDraining(): Promise<boolean> {
    const draining = [...this.#follower.followed.values()].filter(({ isListed }) => !isListed)
    for (const generation of draining) await this.#askHandle(generation)
    return draining.length > 0
  }

  async #askHandle(generation: Generation): Promise<void> {
    const { openFiles, turns } = this.#follower
    try {
      const facts = await openFiles.factsOf(generation)
      if (facts) await this.#noticeAgain(generation, logPathToBytes(generation.place.path), facts)
    } catch (cause) {
      if (!isDiskError(cause)) throw cause
      turns.want(generation)
    }
  }

  /** Nothing was to be done about it at the last look, and nothing was heard of it or done with it since. */
  #isQuiet({ pathKey, seen, source, isSettled }: Spot): boolean {
    if (!isSettled || !seen) return false
    if (this.#attention.hasHeard && this.#attention.isHeard(pathKey)) return false
    const generation = this.#follower.followed.get(seen.key)
    if (!generation) return this.#strangers.ignores(seen.key, seen.facts, source)
    return generation.facts === seen.facts && this.#isAtRest(generation)
  }

  #isAtRest(generation: Generation): boolean {
    const { turn, isListed, isInTick, readTo, size, endsAt, pathKey } = generation
    const troubles = this.#follower.troubles.byPath
    const isTroubled = troubles.size > 0 && troubles.has(pathKey)
    const isRead = readTo === size && endsAt === Infinity && !isInTick
    return turn === 'none' && isListed && isRead && !isTroubled
  }

  async #ask(spot: Spot, round: Round): Promise<void> {
    const askedMs = this.#world.clock.monotonicMs()
    const facts = await round.attempt(spot.path, () => this.#world.files.facts(spot.path))
    const seen = facts?.isFile ? { key: identityKey(identityOf(facts)), facts } : undefined
    if (seen?.key !== spot.seen?.key) round.isStirred = true
    spot.seen = seen
    spot.isSettled = false
    if (seen) await this.#notice(spot, seen, askedMs, round)
  }

  async #notice(
    spot: Spot,
    { key, facts }: NonNullable<Spot['seen']>,
    askedMs: number,
    round: Round,
  ): Promise<void> {
    const generation = this.#follower.followed.get(key)
    const isTold = spot.isTold && facts.links === 1
    if (!generation) {
      const isIgnored = this.#strangers.ignores(key, facts, spot.source)
      spot.isSettled = isTold && isIgnored
      if (!isIgnored) round.isStirred = true
      return
    }
    if (generation.beganMs >= askedMs) return this.#follower.turns.want(generation)
    generation.found()
    await this.#noticeAgain(generation, spot.path, facts)
    if (isOnlyTouched(generation.facts, facts)) round.isStirred = true
    if (!isTold || !this.#isAtRest(generation) || !isAsKnown(generation, facts)) return
    // One of each is enough for thousands of files.
    if (spot.pathKey === generation.pathKey) spot.pathKey = generation.pathKey
    spot.seen = { key: generation.key, facts: generation.facts }
    spot.isSettled = true
  }

  async #noticeAgain(generation: Generation, path: Uint8Array, facts: FileFacts): Promise<void> {
    const { turns, troubles } = this.#follower
    generation.rest()
    this.#cutShort.see(generation, path, facts.size)
    if (facts.size > generation.seenBytes && generation.endsAt === Infinity) await this.#prove(generation)
    const isRead = facts.size === generation.readTo && facts.size === generation.size
    const isWritten = facts.modifiedNs !== generation.facts.modifiedNs
    if (!isRead || isWritten || generation.isInTick || troubles.has(generation)) turns.want(generation)
  }

  /** It may be truncated or overwritten before it is read: then it matters how large it was. */
  async #prove(generation: Generation): Promise<void> {
    const file = this.#follower.openFiles.peek(generation)
    const { size } = generation
    const isIntact = file && (await hasLastBytes(generation, file).catch(() => false))
    if (isIntact) generation.proved(size)
  }
}

/** Nothing about the file changed since its facts were noted. */
function isAsKnown({ facts: before }: Generation, now: FileFacts): boolean {
  const isSame = now.size === before.size && now.mode === before.mode && now.links === before.links
  return isSame && now.modifiedNs === before.modifiedNs && now.changedNs === before.changedNs
}
