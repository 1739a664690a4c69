/** Carries one thing at a time, in order, while its owner prepares the next. */
export class Conveyor {
  #carrying: Promise<void> = Promise.resolve()
  #isCarrying = false
  #failure: { readonly cause: unknown } | undefined

  /** Nothing is under way, and all that was arrived. */
  get isDone(): boolean {
    return !this.#isCarrying && !this.#failure
  }

  /** Waits for the thing before, then lets `carry` begin. Throws what an earlier one threw. */
  async put(carry: () => Promise<void>): Promise<void> {
    await this.empty()
    this.#isCarrying = true
    this.#carrying = carry()
      .catch((cause: unknown) => {
        this.#failure = { cause }
      })
      .finally(() => (this.#isCarrying = false))
  }

  /** Resolves when nothing is under way. Throws what an earlier one threw. */
  async empty(): Promise<void> {
    await this.#carrying
    if (this.#failure) throw this.#failure.cause
  }
}
