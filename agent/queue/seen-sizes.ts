import type { StreamId } from '../../protocol/ids.ts'
import type { Clock } from '../clock.ts'
import { resumeKey } from './index-entry.ts'
import { put } from './index-store.ts'
import type { OpenedQueue } from './open-queue.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import type { OneByOne } from './one-by-one.ts'

/** A write for each size would wear out a card on which a log grows all the time. */
const storeEveryMs = 1000

/**
 * Sizes of files whose bytes wait for room: what a kill, and a truncation after it, must not make unknown. They are stored by
 * whoever writes the index while the queue is held up; else the next record of their file brings them.
 */
export class SeenSizes {
  readonly #opened: Pick<OpenedQueue, 'index' | 'resumePoints'>
  readonly #clock: Clock
  /** Lets one change of resume points in after the other. */
  readonly #changes: OneByOne
  #sizes = new Map<StreamId, number>()
  #storedMs = -Infinity

  constructor(opened: Pick<OpenedQueue, 'index' | 'resumePoints'>, clock: Clock, changes: OneByOne) {
    this.#opened = opened
    this.#clock = clock
    this.#changes = changes
  }

  saw(stream: StreamId, bytes: number): void {
    this.#sizes.set(stream, bytes)
  }

  /** Stores what was seen, with one write, at most once a second. What a disk refuses is tried again with what comes. */
  async store(): Promise<void> {
    const nowMs = this.#clock.monotonicMs()
    if (this.#sizes.size === 0 || nowMs - this.#storedMs < storeEveryMs) return
    this.#storedMs = nowMs
    const sizes = this.#sizes
    this.#sizes = new Map()
    await this.#changes.take(() => this.#raise(sizes)).catch(() => undefined)
  }

  async #raise(sizes: ReadonlyMap<StreamId, number>): Promise<void> {
    const { index, resumePoints } = this.#opened
    const raised = [...sizes].flatMap(([stream, seenBytes]) => {
      const point = resumePoints.get(stream)
      return point && seenBytes > seenOf(point) ? [{ ...point, seenBytes }] : []
    })
    if (raised.length === 0) return
    await index.write(raised.map((point) => put(resumeKey(point.stream), encodeResumePoint(point))))
    for (const point of raised) resumePoints.set(point.stream, point)
  }
}

function seenOf({ seenBytes = 0, position }: ResumePoint): number {
  return Math.max(seenBytes, position)
}

/** The point with the largest size that either knows: one that waited for its record does not know what was seen meanwhile. */
export function withLargestSeen(point: ResumePoint, before: ResumePoint | undefined): ResumePoint {
  const seenBytes = Math.max(point.seenBytes ?? 0, before?.seenBytes ?? 0)
  return seenBytes > (point.seenBytes ?? 0) ? { ...point, seenBytes } : point
}
