interface Stretch {
  /** All of these are keys of the index. */
  readonly from: string
  /** It ends before this one. */
  readonly to: string
  /** What was passed over last, and untried, begins here. */
  readonly untried: string
}

/**
 * The records of a lane that wait and are not handed out in their turn, so that those behind them are. Any number of them is
 * one stretch of the lane, of which only the ends are known.
 */
export class PassedOver {
  #stretch: Stretch | undefined
  /** Those before this key were handed out again. */
  #cursor = ''

  get isEmpty(): boolean {
    return this.#stretch === undefined
  }

  /** Where it begins; undefined where nothing is passed over. */
  get from(): string | undefined {
    return this.#stretch?.from
  }

  holds(key: string): boolean {
    return this.#stretch !== undefined && key >= this.#stretch.from && key < this.#stretch.to
  }

  /** The part of the lane that was not handed out again yet. */
  get rest(): readonly Span[] {
    if (!this.#stretch) return []
    const { from, to } = this.#stretch
    return [[this.#cursor > from ? this.#cursor : from, to]]
  }

  /** What of these parts of the lane is not passed over. */
  without([start, end]: Span): readonly Span[] {
    if (!this.#stretch) return [[start, end]]
    const { from, to } = this.#stretch
    const before: Span[] = start < from ? [[start, from]] : []
    return [...before, [start > to ? start : to, end]]
  }

  /** Whether a stretch that begins here would go on with this one, where only `between` stands between them. */
  isBefore(key: string, between: Iterable<string>): boolean {
    if (!this.#stretch || key < this.#stretch.to) return false
    for (const other of between) if (other >= this.#stretch.to && other < key) return false
    return true
  }

  /** Begins anew here. */
  begin(from: string, untried: string, to: string): void {
    this.#stretch = { from, untried, to }
    this.#cursor = ''
  }

  extend(untried: string, to: string): void {
    if (this.#stretch) this.#stretch = { from: this.#stretch.from, untried, to }
  }

  /** What was passed over untried the last time is not any more. Gives where that is. */
  takeBackUntried(): string | undefined {
    if (!this.#stretch || this.#stretch.untried === this.#stretch.to) return undefined
    const { from, untried } = this.#stretch
    this.#stretch = { from, untried, to: untried }
    return untried
  }

  /** Those before this key were handed out again. */
  handedOut(cursor: string): void {
    this.#cursor = cursor
  }

  /** The first are to be handed out again. */
  rewind(): void {
    this.#cursor = ''
  }

  /** None of it is here any more. */
  clear(): void {
    this.#stretch = undefined
    this.#cursor = ''
  }
}

/** From one key to before another. */
export type Span = readonly [string, string]
