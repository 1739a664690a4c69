import type { Manifest } from '../../protocol/manifest.ts'
import type { IndexStore, IndexWrite } from './index-store.ts'
import { foundWrites } from './shipped.ts'

/** What records that are found again say of their files, which the index learns of later. */
export class FoundRanges {
  readonly #index: IndexStore
  /** By key. */
  readonly #unwritten = new Map<string, string>()

  constructor(index: IndexStore) {
    this.#index = index
  }

  /** What is to be written of one, where all that was given since `written` is written before it. */
  async writes(manifest: Manifest): Promise<readonly IndexWrite[]> {
    const writes = await foundWrites({ get: (key) => this.#get(key) }, manifest)
    for (const write of writes) if (write.type === 'put') this.#unwritten.set(write.key, write.value)
    return writes
  }

  /** The index knows all of it. */
  written(): void {
    this.#unwritten.clear()
  }

  async #get(key: string): Promise<string | undefined> {
    return this.#unwritten.get(key) ?? (await this.#index.get(key))
  }
}
