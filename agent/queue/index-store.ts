import type { Index } from '../world.ts'
import { Turns } from './turns.ts'

export type IndexWrite =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string }

export const put = (key: string, value: string): IndexWrite => ({ type: 'put', key, value })
export const del = (key: string): IndexWrite => ({ type: 'del', key })

/**
 * LevelDB, one operation at a time. After a failed write LevelDB refuses every later one until it is opened anew, so a
 * failure opens it again: then a disk that recovers is enough, and no restart is needed.
 */
export class IndexStore implements AsyncDisposable {
  readonly #reopen: () => Promise<Index>
  #index: Index
  readonly #turns = new Turns()

  private constructor(index: Index, reopen: () => Promise<Index>) {
    this.#index = index
    this.#reopen = reopen
  }

  static async open(open: () => Promise<Index>): Promise<IndexStore> {
    return new IndexStore(await open(), open)
  }

  get(key: string): Promise<string | undefined> {
    return this.#inTurn((index) => index.get(key))
  }

  /** Up to `limit` entries from `from` to before `to`, in the order of their keys. */
  entries(from: string, to: string, limit: number): Promise<[string, string][]> {
    return this.#inTurn((index) => index.iterator({ gte: from, lt: to, limit }).all())
  }

  /** All of the writes survive a power cut when it resolves; when it throws, ask what is there. */
  write(writes: readonly IndexWrite[]): Promise<void> {
    return this.#inTurn((index) => index.batch([...writes], { sync: true }))
  }

  #inTurn<T>(work: (index: Index) => Promise<T>): Promise<T> {
    return this.#turns.take(() => this.#attempt(work))
  }

  async #attempt<T>(work: (index: Index) => Promise<T>): Promise<T> {
    // Open but for a reopening that failed before.
    if (this.#index.status !== 'open') this.#index = await this.#reopen()
    try {
      return await work(this.#index)
    } catch (cause) {
      await this.#index.close()
      throw cause
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turns.ended()
    await this.#index.close()
  }
}

/** Every entry under a prefix, read in pieces so that a long queue does not stand in memory at once. */
export async function* allUnder(store: IndexStore, prefix: string): AsyncGenerator<[string, string]> {
  const pieceEntries = 1000
  const end = `${prefix}\uffff`
  for (let from = prefix; ;) {
    const piece = await store.entries(from, end, pieceEntries)
    yield* piece
    const last = piece.at(-1)
    if (!last || piece.length < pieceEntries) return
    // The least key after it.
    from = `${last[0]}\0`
  }
}
