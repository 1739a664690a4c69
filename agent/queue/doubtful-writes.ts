import type { IndexStore, IndexWrite } from './index-store.ts'
import { OneByOne } from './one-by-one.ts'

/** A write of which nobody knows whether it happened. */
export interface Doubt {
  /** Looks whether it did. */
  readonly happened: () => Promise<boolean>
  /** Has memory say what the index says once it did. */
  readonly settle: () => void
}

/**
 * Writes that change what waits in the queue, one after the other. One that failed may have happened all the same: that is
 * looked up before anything else is done.
 */
export class DoubtfulWrites {
  readonly #index: IndexStore
  readonly #line = new OneByOne()
  #doubt: Doubt | undefined

  constructor(index: IndexStore) {
    this.#index = index
  }

  /** Does the work when its turn has come and nothing is in doubt any more. */
  take<T>(work: () => Promise<T>): Promise<T> {
    return this.#line.take(async () => {
      if (await this.#doubt?.happened()) this.#doubt?.settle()
      this.#doubt = undefined
      return work()
    })
  }

  /** To be called within a turn. */
  async write(writes: readonly IndexWrite[], doubt: Doubt): Promise<void> {
    try {
      await this.#index.write(writes)
    } catch (cause) {
      this.#doubt = doubt
      throw cause
    }
    doubt.settle()
  }
}
