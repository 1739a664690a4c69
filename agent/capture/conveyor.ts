/** Carries one thing at a time, in order, while its owner prepares the next. */
export class Conveyor {
  #carrying: Promise<void> = Promise.resolve()
  #failure: { readonly cause: unknown } | undefined

  /** Waits for the thing before, then lets `carry` begin. Throws what an earlier one threw. */
  async put(carry: () => Promise<void>): Promise<void> {
    await this.empty()
    this.#carrying = carry().catch((cause: unknown) => {
      this.#failure = { cause }
    })
  }

  /** Resolves when nothing is under way. Throws what an earlier one threw. */
  async empty(): Promise<void> {
    await this.#carrying
    if (this.#failure) throw this.#failure.cause
  }
}
