/** Owns what runs at the same time: the first task that fails stops the others, and its error is the group's. */
export class TaskGroup implements AsyncDisposable {
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  #failure: { readonly cause: unknown } | undefined

  /** Fires when the group is stopped or a task has failed. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  start(task: (signal: AbortSignal) => Promise<void>): void {
    const running = task(this.signal).catch((cause: unknown) => {
      this.#failure ??= { cause }
      this.#stop.abort()
    })
    const owned = running.finally(() => this.#running.delete(owned))
    this.#running.add(owned)
  }

  /** Resolves when every task, those started meanwhile too, has ended. Throws the first failure. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
    if (this.#failure) throw this.#failure.cause
  }

  stop(): void {
    this.#stop.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    await this.ended()
  }
}
