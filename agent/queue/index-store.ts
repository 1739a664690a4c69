import { crc32 } from 'node:zlib'
import type { Index } from '../world.ts'
import { OneByOne } from './one-by-one.ts'
import type { Reserve } from './reserve.ts'
import { isWantOfRoom } from './world-refuses.ts'

export type IndexWrite =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string }

export const put = (key: string, value: string): IndexWrite => ({ type: 'put', key, value })
export const del = (key: string): IndexWrite => ({ type: 'del', key })

/** How a value starts that carries its own check; those of older agents, which do not, are numbers, names or JSON. */
const checkMark = '~'
const checkDigits = 8

/** LevelDB reads blocks of its tables without looking at their checksums: a flipped bit would pass for a value. */
function withCheck(key: string, value: string): string {
  const check = crc32(`${key}\0${value}`).toString(16).padStart(checkDigits, '0')
  return `${checkMark}${check}${value}`
}

/** The value without its check; empty where one of its bits, or of its key's, is not what was stored. */
function checkedValue(key: string, stored: string): string {
  if (!stored.startsWith(checkMark)) return stored
  const value = stored.slice(checkMark.length + checkDigits)
  return withCheck(key, value) === stored ? value : ''
}

/**
 * LevelDB, one operation at a time, each value with a check of its own. After a failed write LevelDB refuses every later one until it is opened anew, so a
 * failure opens it again: then a disk that recovers is enough, and no restart is needed. On a full disk the reserve is given up for that.
 */
export class IndexStore implements AsyncDisposable {
  readonly #reopen: () => Promise<Index>
  readonly #reserve: Pick<Reserve, 'giveUp'> | undefined
  #index: Index
  readonly #line = new OneByOne()

  private constructor(
    index: Index,
    reopen: () => Promise<Index>,
    reserve: Pick<Reserve, 'giveUp'> | undefined,
  ) {
    this.#index = index
    this.#reopen = reopen
    this.#reserve = reserve
  }

  /** The reserve is for what comes after the opening. */
  static async open(open: () => Promise<Index>, reserve?: Pick<Reserve, 'giveUp'>): Promise<IndexStore> {
    return new IndexStore(await open(), open, reserve)
  }

  /** undefined where it is not there, or damaged. */
  async get(key: string): Promise<string | undefined> {
    const stored = await this.#inTurn((index) => index.get(key))
    return (stored === undefined ? '' : checkedValue(key, stored)) || undefined
  }

  /** The same of many, in the order of the keys. */
  async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    const stored = await this.#inTurn((index) => index.getMany([...keys]))
    return stored.map(
      (text, at) => (text === undefined ? '' : checkedValue(keys[at] ?? '', text)) || undefined,
    )
  }

  /** Up to `limit` entries from `from` to before `to`, in the order of their keys; the value of a damaged one is empty. */
  async entries(from: string, to: string, limit: number): Promise<[string, string][]> {
    const stored = await this.#inTurn((index) => index.iterator({ gte: from, lt: to, limit }).all())
    return stored.map(([key, value]) => [key, checkedValue(key, value)])
  }

  /** All of the writes survive a power cut when it resolves; when it throws, ask what is there. */
  write(writes: readonly IndexWrite[]): Promise<void> {
    const checked = writes.map((write) =>
      write.type === 'put' ? { ...write, value: withCheck(write.key, write.value) } : write,
    )
    return this.#inTurn((index) => index.batch(checked, { sync: true }))
  }

  #inTurn<T>(work: (index: Index) => Promise<T>): Promise<T> {
    return this.#line.take(() => this.#attemptWithReserve(work))
  }

  /** Nothing comes in between, so a write that failed, and may have happened, can be done again as it is. */
  async #attemptWithReserve<T>(work: (index: Index) => Promise<T>): Promise<T> {
    try {
      return await this.#attempt(work)
    } catch (cause) {
      if (!isWantOfRoom(cause) || !(await this.#reserve?.giveUp())) throw cause
      return this.#attempt(work)
    }
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
    await this.#line.ended()
    await this.#index.close()
  }
}

/** Every undamaged entry under a prefix, read in pieces so that a long queue does not stand in memory at once. */
export async function* allUnder(store: IndexStore, prefix: string): AsyncGenerator<[string, string]> {
  const pieceEntries = 1000
  const end = `${prefix}\uffff`
  for (let from = prefix; ;) {
    const piece = await store.entries(from, end, pieceEntries)
    for (const entry of piece) if (entry[1] !== '') yield entry
    const last = piece.at(-1)
    if (!last || piece.length < pieceEntries) return
    // The least key after it.
    from = `${last[0]}\0`
  }
}
