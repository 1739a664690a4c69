import type { StreamId } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Queue } from '../queue/queue.ts'
import { isIdentityKnown, isMadeAnew, isUnread, type ResumePoint } from '../queue/resume-point.ts'
import type { SourceConfig } from '../source-config.ts'
import type { World } from '../world.ts'
import type { Endings } from './endings.ts'
import { identityKey, identityOf } from './identity.ts'
import { isGone } from './open-files.ts'
import { folderOf } from './places.ts'

/** What can be said of a file that nobody follows. */
type Whereabouts = 'there' | 'missing' | 'unknown'

/** Looked for at a time: a drone can know of thousands. */
const mostAtOnce = 100

/**
 * Streams whose file no glob leads to. Once it is nowhere for long enough, the stream ends, and with it what is kept of it.
 * A folder that is not there, that cannot be read, or on which another file system is mounted says nothing of its files: a
 * card that was taken out comes back. Where the queue lost which file system it was, a folder that is there has to do.
 */
export class Departed {
  readonly #queue: Pick<Queue, 'resumePoints'>
  readonly #world: Pick<World, 'files' | 'clock'>
  readonly #sourceOf: (path: Uint8Array) => SourceConfig | undefined
  readonly #endings: Endings
  /** By the monotonic clock. */
  readonly #missingSinceMs = new Map<StreamId, number>()
  #turn = 0

  constructor(
    queue: Pick<Queue, 'resumePoints'>,
    world: Pick<World, 'files' | 'clock'>,
    sourceOf: (path: Uint8Array) => SourceConfig | undefined,
    endings: Endings,
  ) {
    this.#queue = queue
    this.#world = world
    this.#sourceOf = sourceOf
    this.#endings = endings
  }

  /** `unfollowed` are the resume points whose file this look did not find. */
  async look(unfollowed: readonly ResumePoint[]): Promise<void> {
    this.#forgetAllBut(new Set(unfollowed.map(({ stream }) => stream)))
    const from = this.#turn < unfollowed.length ? this.#turn : 0
    this.#turn = from + mostAtOnce
    for (const point of unfollowed.slice(from, from + mostAtOnce)) {
      const is = await this.#whereIs(point)
      if (is !== 'missing') this.#missingSinceMs.delete(point.stream)
      else if (this.#isMissingForLong(point)) this.#end(point)
    }
  }

  /**
   * Ends at once those of which bytes are known that nobody read, and whose file is nowhere: who asks what is lost cannot wait
   * until it may be back. Not those of which nobody knows how much has receipts.
   */
  async settle(unfollowed: readonly ResumePoint[]): Promise<void> {
    for (const point of unfollowed)
      if (isUnread(point) && !isMadeAnew(point) && (await this.#whereIs(point)) === 'missing')
        this.#end(point)
  }

  /** What came back has all its time again when it goes once more. */
  #forgetAllBut(unfollowed: ReadonlySet<StreamId>): void {
    for (const stream of this.#missingSinceMs.keys()) {
      if (!unfollowed.has(stream)) this.#missingSinceMs.delete(stream)
    }
  }

  async #whereIs(point: ResumePoint): Promise<Whereabouts> {
    const { path, device } = placeIn(point)
    try {
      const key = identityKey(identityOf(await this.#world.files.facts(path)))
      if (key === identityKey(point.identity)) return 'there'
      // It may be this one, and could not be read yet.
      if (device === undefined && !this.#isAnothers(key)) return 'unknown'
    } catch (cause) {
      if (!isGone(cause)) return 'unknown'
    }
    return this.#isMounted(folderOf(path), device)
  }

  #isAnothers(key: string): boolean {
    return this.#queue.resumePoints.values().some(({ identity }) => identityKey(identity) === key)
  }

  /** Whether the nearest folder that is there belongs to the file system on which the file was. */
  async #isMounted(folder: Uint8Array, device: string | undefined): Promise<'missing' | 'unknown'> {
    try {
      const facts = await this.#world.files.facts(folder)
      return device === undefined || String(facts.device) === device ? 'missing' : 'unknown'
    } catch (cause) {
      if (!isGone(cause) || folder.length <= 1) return 'unknown'
      return this.#isMounted(folderOf(folder), device)
    }
  }

  #isMissingForLong(point: ResumePoint): boolean {
    const nowMs = this.#world.clock.monotonicMs()
    const sinceMs = this.#missingSinceMs.get(point.stream) ?? nowMs
    this.#missingSinceMs.set(point.stream, sinceMs)
    const graceMs = this.#sourceOf(placeIn(point).path)?.closeAfterMs ?? defaultGraceMs
    return nowMs - sinceMs >= graceMs
  }

  #end(point: ResumePoint): void {
    const source = this.#sourceOf(placeIn(point).path)
    const { stream, path } = point
    const label = { stream, path, tags: source?.tags ?? new Map<string, string>() }
    this.#missingSinceMs.delete(stream)
    this.#endings.end({ label, lane: source?.priority ?? 'normal', point, why: 'deleted' })
  }
}

/** Of a file that no source is about any more. */
const defaultGraceMs = 60_000

/** The device is undefined where nobody has looked at the file since the queue lost what it knew of it. */
function placeIn({ place, path, identity }: ResumePoint): { path: Uint8Array; device: string | undefined } {
  const known = isIdentityKnown(identity) ? identity.device : undefined
  return { path: logPathToBytes(place?.path ?? path), device: place?.device ?? known }
}
