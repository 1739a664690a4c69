import type { Manifest } from '../../protocol/manifest.ts'
import type { Place } from './index-entry.ts'
import type { IndexStore, IndexWrite } from './index-store.ts'
import { foundWrites, keyOfSaying, rangeWrites } from './shipped.ts'

/** What records say of their files, which the index learns of later. */
export class ComingRanges {
  readonly #index: IndexStore
  /** By key. */
  readonly #known = new Map<string, string | undefined>()

  constructor(index: IndexStore) {
    this.#index = index
  }

  /** Asks the index once for all of it that these are about. */
  async look(manifests: readonly Manifest[]): Promise<void> {
    const keys = manifests.map(keyOfSaying)
    const values = await this.#index.getMany(keys)
    for (const [at, key] of keys.entries()) this.#known.set(key, values[at])
  }

  /** What is to be written of one that is sealed now, where all that was given since `written` is written before it. */
  sealed(manifest: Manifest, of: Place | undefined): Promise<readonly IndexWrite[]> {
    return this.#noted(rangeWrites({ get: (key) => this.#get(key) }, manifest, of))
  }

  /** Likewise of one that is found again. */
  found(manifest: Manifest): Promise<readonly IndexWrite[]> {
    return this.#noted(foundWrites({ get: (key) => this.#get(key) }, manifest))
  }

  /** The index knows all of it. */
  written(): void {
    this.#known.clear()
  }

  async #noted(coming: Promise<readonly IndexWrite[]>): Promise<readonly IndexWrite[]> {
    const writes = await coming
    for (const write of writes) if (write.type === 'put') this.#known.set(write.key, write.value)
    return writes
  }

  async #get(key: string): Promise<string | undefined> {
    return this.#known.has(key) ? this.#known.get(key) : this.#index.get(key)
  }
}
