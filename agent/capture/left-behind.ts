import type { StreamId } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import { isUnread, type ResumePoint } from '../queue/resume-point.ts'
import { sayCause } from '../say-cause.ts'
import type { SourceConfig } from '../source-config.ts'
import type { OpenFile, World } from '../world.ts'
import { isDiskError } from './disk-error.ts'
import { endedBetween } from './ending.ts'
import type { Endings } from './endings.ts'
import { pathKey } from './find-files.ts'
import type { Follower } from './follower.ts'
import { Generation } from './generation.ts'
import { identityKey, identityOf, recognise } from './identity.ts'
import { isGone } from './open-files.ts'
import { placeOf } from './places.ts'
import { factsOf } from './second-look.ts'
import { Troubles } from './troubles.ts'
import { Witness } from './witness.ts'

/** Of a file that no source is about any more: it is read as far as it goes now, if all of it that is known still holds. */
const forgotten: SourceConfig = {
  paths: [],
  exclude: [],
  format: 'text',
  tags: new Map(),
  priority: 'normal',
  startAt: 'beginning',
  ignoreOlderMs: undefined,
  closeAfterMs: 0,
}

/** Looked for at a time, and as many of those that have troubles: a drone can know of thousands. */
const mostAtOnce = 100

/**
 * Files with bytes that are known and unread, which lie where they lay, and to which no glob leads any more: a link was set to
 * another file while the agent was off, or the configuration changed. They are followed as if they were renamed now.
 */
export class LeftBehind {
  /** Why one of them cannot be opened. */
  readonly troubles: Troubles
  readonly #follower: Follower
  readonly #sourceOf: (path: Uint8Array) => SourceConfig | undefined
  readonly #endings: Endings
  readonly #world: World
  /** From where they were followed: what nothing more could be read of is not followed once more. */
  readonly #tried = new Map<StreamId, number>()
  #turn = 0

  constructor(
    follower: Follower,
    sourceOf: (path: Uint8Array) => SourceConfig | undefined,
    endings: Endings,
    world: World,
  ) {
    this.#follower = follower
    this.#sourceOf = sourceOf
    this.#endings = endings
    this.#world = world
    this.troubles = new Troubles(world.journal)
  }

  /** `unfollowed` are the resume points whose file this look did not find. Without `isThorough` some are left for later looks. */
  async look(unfollowed: readonly ResumePoint[], isThorough: boolean, signal: AbortSignal): Promise<void> {
    const left = unfollowed.filter((point) => isUnread(point) && !this.#isTried(point))
    const due = isThorough ? new Set(left) : this.#due(left)
    const troubled = new Map(this.#troublesOf(left.filter((point) => !due.has(point))))
    for (const point of due) {
      const why = await this.#takeUp(point, signal).catch(whyNot)
      if (why !== undefined) troubled.set(pathKey(whereIs(point)), why)
    }
    this.troubles.replace(troubled)
  }

  #isTried({ stream, position }: ResumePoint): boolean {
    return this.#tried.get(stream) === position
  }

  /** A flush waits for what has a trouble. */
  #due(left: readonly ResumePoint[]): ReadonlySet<ResumePoint> {
    const from = this.#turn < left.length ? this.#turn : 0
    this.#turn = from + mostAtOnce
    const { byPath } = this.troubles
    const troubled = byPath.size === 0 ? [] : left.filter((point) => byPath.has(pathKey(whereIs(point))))
    return new Set([...troubled.slice(0, mostAtOnce), ...left.slice(from, from + mostAtOnce)])
  }

  /** By pathKey, as the last look at them found it. */
  *#troublesOf(points: readonly ResumePoint[]): Generator<readonly [string, string]> {
    for (const point of points) {
      const key = pathKey(whereIs(point))
      const why = this.troubles.byPath.get(key)
      if (why !== undefined) yield [key, why]
    }
  }

  async #takeUp(point: ResumePoint, signal: AbortSignal): Promise<undefined> {
    const facts = await this.#world.files.facts(whereIs(point))
    const key = identityKey(point.identity)
    if (identityKey(identityOf(facts)) !== key || this.#follower.followed.has(key)) return undefined
    const file = await this.#follower.openFiles.open(whereIs(point))
    try {
      const generation = await this.#recognise(point, file, signal)
      if (generation) await this.#follow(generation, file)
      else await file[Symbol.asyncDispose]()
      return undefined
    } catch (cause) {
      await file[Symbol.asyncDispose]()
      throw cause
    }
  }

  async #follow(generation: Generation, file: OpenFile): Promise<void> {
    this.#tried.set(generation.label.stream, generation.readTo)
    await this.#follower.openFiles.keep(generation, file)
    this.#follower.follow(generation)
  }

  /** Ends its stream where what was read is no more in it. */
  async #recognise(point: ResumePoint, file: OpenFile, signal: AbortSignal): Promise<Generation | undefined> {
    const path = whereIs(point)
    const source = this.#sourceOf(logPathToBytes(point.path)) ?? this.#sourceOf(path) ?? forgotten
    const facts = await factsOf(file, point.position, this.#world.clock, signal)
    if (identityKey(identityOf(facts)) !== identityKey(point.identity)) return undefined
    const is = await recognise(point, file, facts, source.format, new Witness())
    if (is !== 'same') {
      const label = { stream: point.stream, path: point.path, tags: source.tags }
      const ended = endedBetween({ point, why: is }, facts, await file.facts())
      this.#endings.end({ label, lane: source.priority, ...ended })
      return undefined
    }
    const place = point.place ?? (await placeOf(this.#world.files, path))
    const nowMs = this.#world.clock.monotonicMs()
    const generation = new Generation(point, source, { pathKey: pathKey(path), place, facts }, nowMs)
    generation.isListed = false
    generation.isAtPlace = true
    return generation
  }
}

function whereIs({ place, path }: ResumePoint): Uint8Array {
  return logPathToBytes(place?.path ?? path)
}

/** What the disk says; undefined where nothing is there. Throws what is a bug. */
function whyNot(cause: unknown): string | undefined {
  if (!isDiskError(cause)) throw cause
  return isGone(cause) ? undefined : sayCause(cause)
}
