import type { Lane } from './lane.ts'
import { laneKey, lanePrefixes, recordKey, type IndexEntry, type Place } from './index-entry.ts'
import { PassedOver, type Span } from './passed-over.ts'

/** Which records of a lane may be handed out now: those in these parts of the index that are not handed out yet. */
export interface Choice {
  readonly spans: readonly Span[]
  /** Those that are, in their order. */
  handOut(entries: readonly IndexEntry[]): void
  /** None was there. */
  foundNone(): void
}

/** Which records of a lane are handed out, and where those begin that are not. */
export class LaneView {
  readonly lane: Lane
  readonly #handedOut = new Set<string>()
  readonly #passedOver = new PassedOver()
  /** Whatever waits before this key is handed out, or passed over. */
  #from: string
  /** How many were ever given back. */
  #givenBack = 0
  /** How often something may have come that can be handed out in its turn. */
  #stirs = 0
  /** How often it had when nothing was there to be handed out. */
  #emptyAt: number | undefined

  constructor(lane: Lane) {
    this.lane = lane
    this.#from = lanePrefixes[lane]
  }

  /** Something was taken into the lane, or can be handed out again. */
  stir(): void {
    this.#stirs++
  }

  get isAnyPassedOver(): boolean {
    return !this.#passedOver.isEmpty
  }

  /** Those before `end` that are to be handed out in their turn. */
  inTurn(end: Place): Choice {
    const [givenBack, stirs] = [this.#givenBack, this.#stirs]
    // Most drones use one lane: the index is not asked for the others again and again.
    const isEmpty = this.#emptyAt === stirs
    return {
      spans: isEmpty ? [] : this.#passedOver.without([this.#from, this.endBefore(end)]),
      handOut: (entries) => this.#handOut(entries, givenBack),
      foundNone: () => (this.#emptyAt = stirs),
    }
  }

  /** Those that were passed over and not handed out again yet. */
  get passedOver(): Choice {
    const handOut = (entries: readonly IndexEntry[]): void => this.#handOutAgain(entries)
    return { spans: this.#passedOver.rest, handOut, foundNone: () => undefined }
  }

  /** No record waits before this key, handed out or not. */
  get oldest(): string {
    const { from: passed } = this.#passedOver
    let least = passed !== undefined && passed < this.#from ? passed : this.#from
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
  #handOut(entries: readonly IndexEntry[], givenBack: number): void {
    for (const entry of entries) this.#handedOut.add(recordKey(entry))
    const last = entries.at(-1)
    if (last && givenBack === this.#givenBack) this.#from = keyBehind(last)
  }

  /**
   * Passes over these, which are handed out, and what waits untried between them and `to`. What else is handed out or was
   * given back must not come to lie within: then what was passed over before is handed out again in its turn.
   */
  passOver(entries: readonly IndexEntry[], to: string): void {
    const [first] = entries
    const last = entries.at(-1)
    if (!first || !last || this.#passedOver.holds(recordKey(last))) return
    const [key, behind] = [recordKey(first), keyBehind(last)]
    const { from: passed } = this.#passedOver
    if (this.#from >= behind && this.#passedOver.isBefore(key, this.#handedOut))
      return this.#passedOver.extend(behind, to)
    if (passed !== undefined && passed < this.#from) this.#from = passed
    this.stir()
    this.#passedOver.begin(key, behind, to)
  }

  /** Whether any that is handed out stands behind this one. */
  isLast(entry: IndexEntry): boolean {
    for (const key of this.#handedOut) if (key > recordKey(entry)) return false
    return true
  }

  #handOutAgain(entries: readonly IndexEntry[]): void {
    for (const entry of entries) this.#handedOut.add(recordKey(entry))
    const last = entries.at(-1)
    if (last) this.#passedOver.handedOut(keyBehind(last))
  }

  /** What was passed over is to be handed out again from its first. */
  rewind(): void {
    this.#passedOver.rewind()
  }

  /** Nothing of what was passed over waits any more. */
  forgetPassedOver(): void {
    this.#passedOver.clear()
  }

  /** What was passed over untried the last time is handed out in its turn. */
  takeBackUntried(): void {
    const untried = this.#passedOver.takeBackUntried()
    if (untried !== undefined && untried < this.#from) this.#from = untried
    this.stir()
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
      if (!this.#handedOut.delete(key)) continue
      this.stir()
      if (key < this.#from && !this.#passedOver.holds(key)) this.#from = key
    }
  }
}

/** Before whatever comes behind it. */
export const keyBehind = (entry: IndexEntry): string => `${recordKey(entry)}\0`
