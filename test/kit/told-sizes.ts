import { identityKey, identityOf } from '../../agent/capture/identity.ts'
import type { FileFacts, Files, OpenFile } from '../../agent/world.ts'
import { changedFile } from './changed-file.ts'

/** What an agent can know of a generation: what it read of it, and how large it saw it to be. */
interface Told {
  content: Buffer
  /** The largest size that the file system told. */
  size: number
  /** The same, of which bytes that were read before gave proof later that the file still was the same one. */
  proven: number
}

/** A generation by its first bytes, and the size that is proven to have been its own. */
export interface ProvenSize {
  readonly head: string
  readonly bytes: number
}

const headBytes = 32

/** Listens to what the file system tells an agent of the log files below a folder: what the agent can know of each. */
export class ToldSizes {
  readonly #folder: string
  readonly #now = new Map<string, Told>()
  readonly #before: Told[] = []

  constructor(folder: string) {
    this.#folder = folder
  }

  get proven(): ProvenSize[] {
    return [...this.#before, ...this.#now.values()].map(({ content, proven }) => ({
      head: content.toString('latin1', 0, headBytes),
      bytes: proven,
    }))
  }

  listenTo(files: Files): Files {
    return {
      ...files,
      facts: async (path) => this.#heard(await files.facts(path)),
      openToRead: async (path) => {
        const file = await files.openToRead(path)
        const isLog = Buffer.from(path).toString().startsWith(this.#folder)
        return isLog ? this.#listenToFile(file, await file.facts()) : file
      },
    }
  }

  #listenToFile(file: OpenFile, facts: FileFacts): OpenFile {
    const key = identityKey(identityOf(facts))
    return changedFile(file, {
      facts: async () => this.#heard(await file.facts()),
      read: async (into, position) => {
        const { size = 0 } = this.#now.get(key) ?? {}
        const count = await file.read(into, position)
        if (count > 0) this.#read(key, Buffer.from(into.slice(0, count)), position, size)
        return count
      },
    })
  }

  #heard(facts: FileFacts): FileFacts {
    const told = this.#of(identityKey(identityOf(facts)))
    told.size = Math.max(told.size, facts.size)
    return facts
  }

  #of(key: string): Told {
    const told = this.#now.get(key) ?? { content: Buffer.alloc(0), size: 0, proven: 0 }
    this.#now.set(key, told)
    return told
  }

  /** `sizeBefore` was told before the read began. */
  #read(key: string, bytes: Buffer, position: number, sizeBefore: number): void {
    const told = this.#of(key)
    const known = told.content.subarray(position, position + bytes.length)
    if (position > told.content.length) return
    if (!known.equals(bytes.subarray(0, known.length))) return this.#begin(key, bytes, position)
    if (known.length > 0 || position === 0) told.proven = Math.max(told.proven, sizeBefore)
    if (bytes.length > known.length) told.content = Buffer.concat([told.content.subarray(0, position), bytes])
  }

  /** Another generation stands in the file. */
  #begin(key: string, bytes: Buffer, position: number): void {
    if (position > 0) return
    this.#before.push(this.#of(key))
    this.#now.set(key, { content: bytes, size: bytes.length, proven: 0 })
  }
}
