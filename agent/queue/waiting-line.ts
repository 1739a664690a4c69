import type { Arrival } from './arrival.ts'
import { lanes } from './lane.ts'
import { sizeOfRecord, type Room } from './room.ts'

/** What is to be sealed, and who waits for that. */
export interface Waiting {
  readonly arrival: Arrival
  readonly signal: AbortSignal
  readonly taken: (isTaken: boolean) => void
}

/** Of the records that share one sync. */
const maxGroupBytes = 4 * 1024 * 1024

/** What waits for its place in the chain: by lanes, and within one in the order in which it came. */
export class WaitingLine {
  #waiting: readonly Waiting[] = []

  get first(): Waiting | undefined {
    return this.#waiting[0]
  }

  /** Behind those of its lane and of higher ones: an urgent line does not wait for room behind hours of others. */
  join(waiting: Waiting): void {
    const rank = rankOf(waiting)
    const before = this.#waiting.findLastIndex((other) => rankOf(other) <= rank)
    this.#waiting = this.#waiting.toSpliced(before + 1, 0, waiting)
  }

  leave(group: readonly Waiting[]): void {
    const gone = new Set(group)
    this.#waiting = this.#waiting.filter((waiting) => !gone.has(waiting))
  }

  /** Those whose signal has fired; all of them once nothing more is taken. */
  stopped(isClosing: boolean): readonly Waiting[] {
    return this.#waiting.filter(({ signal }) => isClosing || signal.aborted)
  }

  /** The chunks that come next, as many as fit into the queue and into one group. */
  nextGroup(room: Room): readonly Waiting[] {
    let bytes = 0
    const end = this.#waiting.findIndex(({ arrival }, index) => {
      bytes += sizeOfRecord(arrival)
      const hasRoom = arrival.anew !== undefined || room.fits(bytes, index === 0)
      return !hasRoom || (index > 0 && bytes > maxGroupBytes)
    })
    return end < 0 ? this.#waiting : this.#waiting.slice(0, end)
  }
}

function rankOf({ arrival }: Waiting): number {
  return arrival.anew ? -1 : lanes.indexOf(arrival.lane)
}
