import type { Lane } from './lane.ts'
import { laneKey, lanePrefixes, recordKey, type IndexEntry, type Place } from './index-entry.ts'

/** Which records of a lane are handed out, and where those begin that are not. */
export class LaneView {
  readonly lane: Lane
  readonly #handedOut = new Set<string>()
  /** Whatever waits before this key is handed out. */
  #from: string

  /** How many were ever given back. */
  #givenBack = 0

  constructor(lane: Lane) {
    this.lane = lane
    this.#from = lanePrefixes[lane]
  }

  get from(): string {
    return this.#from
  }

  get givenBack(): number {
    return this.#givenBack
  }

  /** No record waits before this key, handed out or not. */
  get oldest(): string {
    let least = this.#from
    for (const key of this.#handedOut) if (key < least) least = key
    return least
  }

  endBefore(end: Place): string {
    return laneKey(this.lane, end)
  }

  isHandedOut(key: string): boolean {
    return this.#handedOut.has(key)
  }

  /**
   * These, in their order, were the first that were not when so many had been given back; those that were given back since
   * then may stand before them.
   */
  handOut(entries: readonly IndexEntry[], givenBack: number): void {
    for (const entry of entries) this.#handedOut.add(recordKey(entry))
    const last = entries.at(-1)
    if (last && givenBack === this.#givenBack) this.#from = `${recordKey(last)}\0`
  }

  /** It is passed over, as if it were handed out. */
  keepBack(entry: IndexEntry): void {
    this.#handedOut.add(recordKey(entry))
  }

  /** They have left the lane. */
  settle(entries: readonly IndexEntry[]): void {
    for (const entry of entries) this.#handedOut.delete(recordKey(entry))
  }

  /** Those of them that have not left the lane can be handed out again. */
  takeBack(entries: readonly IndexEntry[]): void {
    for (const entry of entries) {
      const key = recordKey(entry)
      this.#givenBack++
      if (this.#handedOut.delete(key) && key < this.#from) this.#from = key
    }
  }
}
