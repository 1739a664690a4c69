import type { StreamId } from '../../protocol/ids.ts'
import type { Clock } from '../clock.ts'
import { forgetCounts } from './forget-counts.ts'
import { beganKey, resumeKey } from './index-entry.ts'
import { del, put, type IndexWrite } from './index-store.ts'
import { OneByOne } from './one-by-one.ts'
import type { OpenedQueue } from './open-queue.ts'
import { encodeResumePoint, type ResumePoint } from './resume-point.ts'
import { SeenSizes } from './seen-sizes.ts'
import { forgetShipped } from './shipped.ts'

/** The changes of resume points that no record brings, one after the other. */
export class StreamPoints {
  readonly seen: SeenSizes
  readonly #opened: OpenedQueue
  readonly #changes = new OneByOne()

  constructor(opened: OpenedQueue, clock: Clock) {
    this.#opened = opened
    this.seen = new SeenSizes(opened, clock, this.#changes)
  }

  /** As Queue.setResumePoints. */
  set(points: readonly ResumePoint[]): Promise<void> {
    return this.#changes.take(() => this.#set(points))
  }

  async #set(points: readonly ResumePoint[]): Promise<void> {
    const { index, resumePoints } = this.#opened
    const begun = points.filter(({ stream }) => !resumePoints.has(stream))
    await index.write([
      ...points.map((point) => put(resumeKey(point.stream), encodeResumePoint(point))),
      ...begun.map(({ stream, position }) => put(beganKey(stream), String(position))),
    ])
    for (const point of points) resumePoints.set(point.stream, point)
  }

  /** As Queue.endStream. To be called when nothing is being forgotten: what is known of it stays as long as its records. */
  end(stream: StreamId): Promise<void> {
    return this.#changes.take(() => this.#end(stream))
  }

  async #end(stream: StreamId): Promise<void> {
    const { index, ledger, resumePoints } = this.#opened
    const counts = (): IndexWrite[] => forgetCounts([stream], ledger.lostBytes(stream), ledger)
    const isWaiting = ledger.isWaiting(stream)
    await index.write([
      del(resumeKey(stream)),
      ...(isWaiting ? [] : [...counts(), ...(await forgetShipped(index, stream))]),
    ])
    resumePoints.delete(stream)
    ledger.forgetStream(stream)
  }
}
