import type { Journal } from '../journal.ts'
import { pathKey, pathOfKey } from './find-files.ts'

/** What keeps files, or folders, from being read. Each is told to the journal once, when it comes and when it goes. */
export class Troubles {
  readonly #journal: Journal
  readonly #byPath = new Map<string, string>()

  constructor(journal: Journal) {
    this.#journal = journal
  }

  /** By pathKey. */
  get byPath(): ReadonlyMap<string, string> {
    return this.#byPath
  }

  add(path: Uint8Array, why: string): void {
    this.addKey(pathKey(path), why)
  }

  addKey(key: string, why: string): void {
    if (this.#byPath.get(key) !== why) this.#journal.fileTrouble(showKey(key), why)
    this.#byPath.set(key, why)
  }

  remove(path: Uint8Array): void {
    this.removeKey(pathKey(path))
  }

  removeKey(key: string): void {
    if (this.#byPath.delete(key)) this.#journal.fileRecovered(showKey(key))
  }

  /** These are all that there are now. */
  replace(troubled: ReadonlyMap<string, string>): void {
    for (const [key, why] of troubled) this.addKey(key, why)
    for (const key of this.#byPath.keys()) if (!troubled.has(key)) this.removeKey(key)
  }
}

function showKey(key: string): string {
  return Buffer.from(pathOfKey(key)).toString()
}
