import { asideKey, decodeAside, keys, placeText, type AsideEntry, type Place } from './index-entry.ts'
import { allUnder, type IndexStore } from './index-store.ts'

/** Of so many it is known in memory what they are: there may be any number of them. */
const maxNamed = 1000

/** Records that are kept and not sent. They stand in the index; here they are counted, and the first of them named. */
export class SetAside {
  readonly #named: AsideEntry[] = []
  #records = 0
  /** As a key of the index. */
  #oldest = '\uffff'

  get records(): number {
    return this.#records
  }

  /** The first of them. */
  get named(): readonly AsideEntry[] {
    return this.#named
  }

  add(entries: readonly AsideEntry[]): void {
    this.#records += entries.length
    this.#named.push(...entries.slice(0, maxNamed - this.#named.length))
    for (const entry of entries) if (asideKey(entry) < this.#oldest) this.#oldest = asideKey(entry)
  }

  /** Whether any of them comes before this place. */
  isAnyBefore(end: Place): boolean {
    return this.#oldest < `${keys.aside}${placeText(end)}`
  }

  /** Those whose bodies stand in this segment. */
  async inSegment(segment: number, index: IndexStore): Promise<AsideEntry[]> {
    const found: AsideEntry[] = []
    if (this.#records === 0) return found
    for await (const [key, value] of allUnder(index, keys.aside)) {
      const entry = decodeAside(key, value)
      if (entry?.extent?.segment === segment) found.push(entry)
    }
    return found
  }
}
