import type { Journal } from '../journal.ts'
import type { Generation } from './generation.ts'
import { Troubles } from './troubles.ts'

/** What keeps files from being read, by file: one that moved away shares its path with the one that came after it. */
export class FileTroubles {
  readonly #told: Troubles
  /** Where a trouble of a file was told. */
  readonly #keyOf = new Map<Generation, string>()
  readonly #byKey = new Map<string, Map<Generation, string>>()

  constructor(journal: Journal) {
    this.#told = new Troubles(journal)
  }

  /** By pathKey; of two files there the one that had its trouble first. */
  get byPath(): ReadonlyMap<string, string> {
    return this.#told.byPath
  }

  has(generation: Generation): boolean {
    return this.#keyOf.has(generation)
  }

  add(generation: Generation, why: string): void {
    const { pathKey } = generation
    if (this.#keyOf.get(generation) !== pathKey) this.remove(generation)
    const there = this.#byKey.get(pathKey) ?? new Map<Generation, string>()
    this.#keyOf.set(generation, pathKey)
    this.#byKey.set(pathKey, there.set(generation, why))
    this.#tell(pathKey)
  }

  remove(generation: Generation): void {
    const key = this.#keyOf.get(generation)
    if (key === undefined) return
    this.#keyOf.delete(generation)
    const there = this.#byKey.get(key)
    there?.delete(generation)
    if (there?.size === 0) this.#byKey.delete(key)
    this.#tell(key)
  }

  /** Of a file that ended meanwhile nobody waits for anything. */
  removeOver(): void {
    for (const generation of this.#keyOf.keys()) if (generation.isOver) this.remove(generation)
  }

  #tell(key: string): void {
    const [why] = this.#byKey.get(key)?.values() ?? []
    if (why === undefined) this.#told.removeKey(key)
    else this.#told.addKey(key, why)
  }
}
