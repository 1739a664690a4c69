import { equalBytes } from '../../protocol/ids.ts'
import { logPathToBytes, showLogPath } from '../../protocol/log-path.ts'
import type { Lane } from '../queue/lane.ts'
import { sayCause } from '../say-cause.ts'
import type { FileFacts, World } from '../world.ts'
import { isDiskError } from './disk-error.ts'
import { FileTroubles } from './file-troubles.ts'
import type { Follower } from './follower.ts'
import { mostLooseRanges, type Generation } from './generation.ts'
import { joinRanges } from './join-ranges.ts'
import { isReadError } from './read-error.ts'
import { isBeyondDoubt } from './read-on.ts'
import { reread } from './reread.ts'
import type { CaptureParts } from './take-turn.ts'

/** A file of which a sign says that it is finished must stand still for this long, at most. */
const settleMs = 1000
/** How long reading once more waits, before each piece, for files that grow. */
const yieldMs = 100

/**
 * Finds out which files are finished, reads those once more, of each lane one at a time, and lets go of what nothing leads to.
 * Has the index join what small pieces it has of the others.
 */
export class Finishing {
  /** What keeps a file from being read once more, or from being let go, now. */
  readonly troubles: FileTroubles
  readonly #follower: Follower
  readonly #parts: CaptureParts
  readonly #world: World
  /** What cannot be closed, and when it was changed before that was found. */
  readonly #unclosable = new WeakMap<Generation, bigint>()

  constructor(follower: Follower, parts: CaptureParts, world: World) {
    this.#follower = follower
    this.#parts = parts
    this.#world = world
    this.troubles = new FileTroubles(world.journal)
  }

  /** Reads once more what is finished now. Lets go of the files that no glob leads to, once they stood still for long enough. */
  async finish(lane: Lane, signal: AbortSignal): Promise<void> {
    const nowMs = this.#world.clock.monotonicMs()
    for (const generation of this.#followed(lane)) {
      if (signal.aborted) return
      const isFinished = this.#isFinished(generation, nowMs)
      if (isFinished || !generation.isListed) await this.#attend(generation, isFinished, signal)
      else this.troubles.remove(generation)
      if (generation.looseRanges >= mostLooseRanges) await this.#join(generation, signal)
      const isCompared = generation.isClosedAsItStands || !generation.mayBeRewritten
      const isDone = isCompared || this.#isKnownUnclosable(generation)
      if (isDone && generation.turn === 'none') generation.closing = 'none'
    }
    this.troubles.removeOver()
  }

  async #attend(generation: Generation, isFinished: boolean, signal: AbortSignal): Promise<void> {
    const unclosed = isFinished ? await troubleIn(() => this.#close(generation, signal)) : undefined
    const kept = generation.isListed ? undefined : await troubleIn(() => this.#tend(generation))
    const why = kept ?? unclosed
    if (why === undefined) this.troubles.remove(generation)
    else this.troubles.add(generation, why)
  }

  /** A lane that waits for room in the queue holds up no other. */
  *#followed(lane: Lane): Generator<Generation> {
    for (const generation of this.#follower.followed.values()) {
      if (generation.source.priority === lane) yield generation
    }
  }

  #isFinished(generation: Generation, nowMs: number): boolean {
    const { readTo, size, queuedTo } = generation
    if (queuedTo === 0 || generation.isClosedAsItStands || this.#isKnownUnclosable(generation)) return false
    if (isWaitedFor(generation)) return true
    if (readTo < size || queuedTo < readTo) return false
    return nowMs - generation.quietSinceMs >= quietMs(generation)
  }

  /** Somebody else may have had its turn when it was to be closed. */
  #isToBeClosed(generation: Generation): boolean {
    const isDone = generation.isClosedAsItStands || this.#isKnownUnclosable(generation)
    return generation.queuedTo > 0 && !isDone
  }

  #isKnownUnclosable(generation: Generation): boolean {
    return this.#unclosable.get(generation) === generation.facts.changedNs
  }

  /** Does nothing where others have the file's turn. */
  async #close(generation: Generation, signal: AbortSignal): Promise<void> {
    const { turns, openFiles } = this.#follower
    if (!turns.hold(generation)) return
    const isWaited = isWaitedFor(generation)
    if (isWaited) generation.closing = 'underWay'
    try {
      const file = await openFiles.borrow(generation)
      if (file && !(await isBeyondDoubt(generation, file))) return turns.want(generation)
      const pause = (stop: AbortSignal): Promise<void> => turns.quiet(yieldMs, this.#world.clock, stop)
      const result = file && (await reread(generation, file, isWaited, this.#parts, pause, signal))
      const { path, stream } = generation.label
      if (result === 'closed') this.#world.journal.fileClosed(showLogPath(path), stream, generation.readTo)
      if (result === 'closed' || result === 'compared') doneFor(generation)
      if (result === 'neverShipped') this.#unclosable.set(generation, generation.facts.changedNs)
    } catch (cause) {
      if (!isReadError(cause)) throw cause
      this.#unclosable.set(generation, generation.facts.changedNs)
    } finally {
      turns.release(generation)
    }
  }

  /** What a disk refuses of it is tried again when more ranges came. */
  async #join(generation: Generation, signal: AbortSignal): Promise<void> {
    const { turns, openFiles } = this.#follower
    const { queue } = this.#parts
    // While its disk refuses, the file's turn would be taken for as long.
    if (queue.state.is !== 'open' || !turns.hold(generation)) return
    try {
      await joinRanges(generation, openFiles, queue, signal)
    } catch (cause) {
      if (!isDiskError(cause)) throw cause
      generation.looseRanges = 0
    } finally {
      turns.release(generation)
    }
  }

  /** Lets go of a file that no glob leads to, once it stood still for long enough. */
  async #tend(generation: Generation): Promise<void> {
    // What was in its file before has not ended yet: of that the next life must know.
    if (generation.stored) return
    const { turns, openFiles, troubles } = this.#follower
    const facts = await openFiles.factsOf(generation)
    if (facts && hasChanged(generation, facts)) return turns.want(generation)
    if (generation.queuedTo < generation.readTo) return turns.want(generation)
    const quietForMs = this.#world.clock.monotonicMs() - generation.quietSinceMs
    const isUnread = facts !== undefined && facts.size > generation.readTo
    if (facts && quietForMs < generation.source.closeAfterMs)
      return isUnread || troubles.has(generation) ? turns.want(generation) : undefined
    if (facts && !isUnread && this.#isToBeClosed(generation)) return
    if (!turns.hold(generation)) return
    try {
      // What cannot be read after all that time, and nothing says why, is none: a size can be false.
      if (isUnread && !troubles.has(generation)) generation.seenBytes = generation.readTo
      await this.#follower.letGo(generation, facts?.links === 0)
    } finally {
      turns.release(generation)
    }
  }
}

/** Why a disk refuses the work, to be asked again at the next look; undefined where it does not. Throws what is a bug. */
async function troubleIn(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (cause) {
    if (!isDiskError(cause)) throw cause
    return sayCause(cause)
  }
}

/** Since its last turn. */
function hasChanged({ facts: before, readTo }: Generation, now: FileFacts): boolean {
  const isSameSize = now.size === readTo || now.size === before.size
  return !isSameSize || now.modifiedNs !== before.modifiedNs
}

/** Somebody waits for it to be read once more, and what stood in it then is queued. */
function isWaitedFor({ closing, mayBeRewritten, queuedTo, flushTo }: Generation): boolean {
  return closing !== 'none' && mayBeRewritten && queuedTo >= flushTo
}

/** Who asked meanwhile waits for another pass. */
function doneFor(generation: Generation): void {
  if (generation.closing === 'underWay') generation.closing = 'none'
}

/** For how long it must have stood still to count as finished. */
function quietMs(generation: Generation): number {
  const { source, facts, isListed, isText, isSuspect } = generation
  const isDone = isReadOnly(facts) || !isListed || isMoved(generation)
  if (isDone) return Math.min(settleMs, source.closeAfterMs)
  return isText && !isSuspect ? Infinity : source.closeAfterMs
}

/** Nobody but root may write to it: its writer is done with it. */
function isReadOnly({ mode }: FileFacts): boolean {
  return (mode & 0o222) === 0
}

/** It does not lie any more where its stream began: it was rotated. */
function isMoved({ path, label }: Generation): boolean {
  return !equalBytes(path, logPathToBytes(label.path))
}
