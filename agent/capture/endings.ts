import type { StreamId } from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Journal } from '../journal.ts'
import { sayCause } from '../say-cause.ts'
import type { TaskGroup } from '../task-group.ts'
import { isDiskError } from './disk-error.ts'
import { endStream, type Ended } from './ending.ts'
import type { Generation } from './generation.ts'
import type { CaptureParts } from './take-turn.ts'
import { Troubles } from './troubles.ts'

type EndingParts = Pick<CaptureParts, 'queue' | 'clock' | 'patience'>
/** 'over': its end is stored, and who asks saw it before. */
type Last = () => Promise<Ended | 'over' | undefined>

/** Between tries at a disk that refuses. */
const againMs = 1000

/**
 * Ends streams while looks and turns go on: a loss record may have to wait for room in the queue, or for its disk. Until it is
 * stored, the resume point stays, and knows what the loss will be.
 */
export class Endings {
  /** Why a stream whose file is, or was, at a path cannot end now. */
  readonly troubles: Troubles
  readonly #parts: EndingParts
  readonly #journal: Journal
  readonly #tasks: TaskGroup
  readonly #underWay = new Map<StreamId, Promise<boolean>>()
  /** Whose stream begins with this, where it was another's before. */
  readonly #passedOn = new WeakMap<Promise<boolean>, Generation>()

  constructor(parts: EndingParts, journal: Journal, tasks: TaskGroup) {
    this.#parts = parts
    this.#journal = journal
    this.#tasks = tasks
    this.troubles = new Troubles(journal)
  }

  get areAnyUnderWay(): boolean {
    return this.#underWay.size > 0
  }

  /** How many streams are ending. */
  get underWay(): number {
    return this.#underWay.size
  }

  isUnderWay(stream: StreamId): boolean {
    return this.#underWay.has(stream)
  }

  /** Ends a stream, unless that is under way. */
  end(ended: Ended): void {
    const { place, path } = ended.point
    const last: Last = async () => this.lastOf(ended)
    void this.#ended(ended.label.stream, last, logPathToBytes(place?.path ?? path))
  }

  /** Ends a stream of which there is nothing but that its file was seen, and so far no word anywhere. */
  endUnread(ended: Ended): void {
    void this.#ended(ended.label.stream, async () => ended, logPathToBytes(ended.point.path))
  }

  /** Of a stream that was known when a look began. */
  lastOf(ended: Ended): Ended | 'over' {
    return this.#parts.queue.resumePoints.has(ended.label.stream) ? ended : 'over'
  }

  /**
   * Ends a stream, unless that is under way, and has `next` shipped, which stands in its file now, as soon as that is stored.
   * `last` says how it ends, once its records are stored; undefined where it never began, and `next` never will.
   */
  replace(stream: StreamId, last: Last, next: Generation): void {
    const { path } = next
    const ended = this.#ended(stream, last, path)
    const stored = this.#run(async () => {
      if (!(await ended)) return false
      await this.#parts.queue.setResumePoint(next.resume)
      const now = this.#passedOn.get(stored) ?? next
      now.stored = undefined
      return true
    }, path)
    next.stored = stored
  }

  /** Gives a stream that is still to begin, and in which nothing is, to another generation of the same resume point. */
  passOn(from: Generation, to: Generation): void {
    to.stored = from.stored
    if (from.stored) this.#passedOn.set(from.stored, to)
  }

  /** False where the queue takes nothing any more. */
  #ended(stream: StreamId, last: Last, path: Uint8Array): Promise<boolean> {
    const { queue, patience } = this.#parts
    const before = this.#underWay.get(stream)
    if (before) return before
    const work = async (): Promise<boolean> => {
      const ended = await last()
      if (ended === 'over') return true
      return ended !== undefined && endStream(ended, queue, this.#journal, patience)
    }
    const ended = this.#run(work, path).finally(() => this.#underWay.delete(stream))
    this.#underWay.set(stream, ended)
    return ended
  }

  /** Does the work as often as the disk refuses; false when patience ends before. */
  #run(work: () => Promise<boolean>, path: Uint8Array): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.#tasks.start(async () => {
      try {
        resolve(await this.#try(work, path))
      } finally {
        // A bug ends the tasks, and nobody of them must wait for this one.
        resolve(false)
      }
    })
    return promise
  }

  async #try(work: () => Promise<boolean>, path: Uint8Array): Promise<boolean> {
    const { clock, patience } = this.#parts
    while (!patience.aborted) {
      try {
        const isDone = await work()
        this.troubles.remove(path)
        return isDone
      } catch (cause) {
        if (!isDiskError(cause)) throw cause
        this.troubles.add(path, sayCause(cause))
        await clock.sleep(againMs, patience)
      }
    }
    return false
  }
}
