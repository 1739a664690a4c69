import type { IndexEntry } from './index-entry.ts'
import type { Lane } from './lane.ts'

/** A record of a batch. */
export interface BatchEntry extends IndexEntry {
  /** It goes without its body, which is gone from the queue and from its file. */
  readonly isWithheld: boolean
}

/** Records of one lane in the order of the chain, each checked, as they go over the wire. */
export interface Batch {
  readonly lane: Lane
  readonly entries: readonly BatchEntry[]
  /** Valid until the batch is given back. */
  readonly bytes: Uint8Array
}

/** Of the buffers that no batch uses, so many are kept for the next ones. */
const maxSpareBuffers = 4

/** The memory of batches, used again. */
export class BatchBuffers {
  readonly #spare: Uint8Array[] = []

  /** At least `minBytes` long, and when it is a new one, `usualBytes`, so that it fits the next batches as well. */
  take(minBytes: number, usualBytes: number): Uint8Array {
    const fitting = this.#spare.findIndex(({ length }) => length >= minBytes)
    const [known] = fitting < 0 ? [] : this.#spare.splice(fitting, 1)
    if (!known) this.#spare.shift()
    return known ?? Buffer.allocUnsafeSlow(Math.max(minBytes, usualBytes))
  }

  giveBack(buffer: Uint8Array): void {
    if (this.#spare.length < maxSpareBuffers) this.#spare.push(buffer)
  }
}
