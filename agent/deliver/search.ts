/** The search for the link's rate: more is sent than what it is known to carry, until two rounds in a row brought no more. */
export class Search {
  /** Rounds in a row in which the rate did not grow. */
  #plateaus = 0
  #isForMore = true

  get isOn(): boolean {
    return this.#plateaus < believedPlateaus
  }

  /** So far nothing says that the link is full. Not so in a search that only makes sure. */
  get isForMore(): boolean {
    return this.isOn && this.#isForMore
  }

  /** What is known of the rate has changed, or is too low. */
  beginAnew(): void {
    this.#plateaus = 0
    this.#isForMore = true
  }

  /**
   * The link stood still: a round in which it did says nothing of its rate, nor do those before that may have had a part of it.
   * What is known so far is most often right, and only looked after.
   */
  makeSure(): void {
    this.#isForMore &&= this.isOn
    this.#plateaus = 0
  }

  /** A round brought no more than was known. */
  noteRound(): void {
    this.#plateaus++
  }
}

const believedPlateaus = 2
