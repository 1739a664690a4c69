/** Lets those who ask under one name go one after the other, in the order in which they asked. */
export class TurnsByName {
  readonly #last = new Map<string, Promise<void>>()

  /** Waits for the turn, which lasts until it is disposed of. */
  async take(name: string): Promise<Disposable> {
    const before = this.#last.get(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last.set(name, promise)
    await before
    return { [Symbol.dispose]: () => this.#end(name, promise, resolve) }
  }

  #end(name: string, turn: Promise<void>, resolve: () => void): void {
    if (this.#last.get(name) === turn) this.#last.delete(name)
    resolve()
  }
}
