/** Lets one piece of work in after the other, in the order in which they come. */
export class OneByOne {
  #last: Promise<unknown> = Promise.resolve()

  /** Settles as the work does; one that fails does not hold up the next. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work)
    this.#last = mine.catch(() => undefined)
    return mine
  }

  /** Resolves when the work that has come so far is over. */
  async ended(): Promise<void> {
    await this.#last
  }
}
