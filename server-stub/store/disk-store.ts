import type { Dirent } from 'node:fs'
import { open, readdir, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Fault } from '../../protocol/fault.ts'
import { serverFault } from '../faults.ts'
import type { BlobDraft, BlobInfo, BlobKey, BlobStore } from './blob-store.ts'
import { makeFolder, syncFolder, writeAll } from './durable.ts'
import { storeFaultOf } from './store-fault.ts'

const draftsFolder = 'drafts'
/** How many folders are remembered as durable; after that they are made sure of again. */
const maxKnownFolders = 10_000
/** What says that these bytes are not to be had, and not that the store as a whole is not. */
const unreadable = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'EIO'])

/** How many bytes whoever runs this may still write where the folder lies. */
type FreeBytes = (folder: string) => Promise<number>

const freeBytesOn: FreeBytes = async (folder) => {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** Blobs as files below one folder, written under a temporary name and renamed once they are on the disk. */
export class DiskStore implements BlobStore {
  /** Resolved, so that dirname of what is below it leads to it. */
  readonly #root: string
  readonly #freeBytes: FreeBytes
  /** Folders whose names this process has seen safely on the disk. */
  readonly #durable = new Set<string>()
  #drafts = 0
  /** What was last too much for the disk: until so much fits again, it is full. */
  #neededBytes = probeBytes

  constructor(root: string, freeBytes: FreeBytes = freeBytesOn) {
    this.#root = resolve(root)
    this.#freeBytes = freeBytes
  }

  async draft(): Promise<BlobDraft> {
    const file = join(this.#root, draftsFolder, `${++this.#drafts}.part`)
    return storing(async () => {
      await makeFolder(dirname(file))
      const handle = await open(file, 'w+', 0o640)
      return new DiskDraft(file, handle, {
        publish: (key) => this.#publish(file, key),
        lacked: (bytes) => void (this.#neededBytes = Math.max(this.#neededBytes, bytes)),
      })
    })
  }

  async #publish(file: string, key: BlobKey): Promise<void> {
    const target = join(this.#root, key)
    await this.#renameInto(dirname(target), file, target)
    await syncFolder(dirname(target))
  }

  /** A known folder may have been removed by hand since: then it is made again. */
  async #renameInto(folder: string, file: string, target: string): Promise<void> {
    const isKnown = this.#durable.has(folder)
    await this.#makeDurable(folder)
    try {
      await rename(file, target)
    } catch (cause) {
      if (!isKnown || errorCode(cause) !== 'ENOENT') throw cause
      this.#durable.delete(folder)
      await this.#renameInto(folder, file, target)
    }
  }

  async sync(key: BlobKey): Promise<boolean> {
    const target = join(this.#root, key)
    return storing(async () => {
      const handle = await ifPresent(open(target, 'r'))
      if (!handle) return false
      await using opened = handle
      await opened.sync()
      await this.#makeDurable(dirname(target))
      await syncFolder(dirname(target))
      return true
    })
  }

  /** A folder that was made by a process that crashed may be there and not be durable: so each is synced once. */
  async #makeDurable(folder: string): Promise<void> {
    if (this.#durable.has(folder)) return
    await makeFolder(folder)
    for (let name = folder; name !== this.#root; name = dirname(name)) await syncFolder(dirname(name))
    if (this.#durable.size >= maxKnownFolders) this.#durable.clear()
    this.#durable.add(folder)
  }

  async has(key: BlobKey): Promise<boolean> {
    return storing(async () => (await ifPresent(stat(join(this.#root, key)))) !== undefined)
  }

  async read(key: BlobKey, offset: number, bytes: number): Promise<Uint8Array | undefined> {
    try {
      await using handle = await open(join(this.#root, key), 'r')
      return await readExactly(handle, offset, bytes)
    } catch (cause) {
      if (unreadable.has(errorCode(cause))) return undefined
      throw serverFault('STORE_UNREADABLE', `cannot read ${key}: ${errorCode(cause)}`, { cause })
    }
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo, void, undefined> {
    for (const entry of await this.#entries(prefix)) {
      const key = `${prefix}/${entry.name}`
      if (entry.isDirectory()) yield* this.list(key)
      else yield* this.#infoOf(key as BlobKey)
    }
  }

  async #entries(folder: string): Promise<Dirent[]> {
    try {
      const entries = await ifPresent(readdir(join(this.#root, folder), { withFileTypes: true }))
      return (entries ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    } catch (cause) {
      throw serverFault('STORE_UNREADABLE', `cannot list ${folder}: ${errorCode(cause)}`, { cause })
    }
  }

  async *#infoOf(key: BlobKey): AsyncGenerator<BlobInfo, void, undefined> {
    const info = await ifPresent(stat(join(this.#root, key)))
    if (info) yield { key, bytes: info.size, modifiedMs: Math.floor(info.mtimeMs) }
  }

  async removeDrafts(): Promise<void> {
    await storing(() => rm(join(this.#root, draftsFolder), { recursive: true, force: true }))
  }

  /** Takes no more room than it must: what it took, an upload on an almost full disk would lack. */
  async probe(): Promise<void> {
    await using draft = await this.draft()
    const free = await storing(() => this.#freeBytes(this.#root))
    if (free < this.#neededBytes) throw serverFault('STORE_FULL', `cannot store: ${free} bytes are free`)
    await draft.append(new Uint8Array(probeBytes))
    await storing(() => (draft as DiskDraft).sync())
    this.#neededBytes = probeBytes
  }
}

/** More than a filesystem keeps inside an inode, so that the probe needs a block as a record would. */
const probeBytes = 4096

/** What a draft asks of its store. */
interface DraftKeeper {
  publish(key: BlobKey): Promise<void>
  /** There was no room for a draft of so many bytes. */
  lacked(bytes: number): void
}

class DiskDraft implements BlobDraft {
  readonly #file: string
  readonly #handle: FileHandle
  readonly #store: DraftKeeper
  #bytes = 0
  #isSealed = false

  constructor(file: string, handle: FileHandle, store: DraftKeeper) {
    this.#file = file
    this.#handle = handle
    this.#store = store
  }

  get bytes(): number {
    return this.#bytes
  }

  async append(bytes: Uint8Array): Promise<void> {
    const end = this.#bytes + bytes.length
    await this.#noting(end, () => writeAll(this.#handle, bytes, this.#bytes))
    this.#bytes = end
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    const found = await storing(() => readExactly(this.#handle, offset, bytes))
    if (!found) throw serverFault('STORE_UNREADABLE', `a draft does not give back what was written to it`)
    return found
  }

  async sync(): Promise<void> {
    await this.#handle.sync()
  }

  async seal(key: BlobKey): Promise<void> {
    await this.#noting(this.#bytes, async () => {
      await this.sync()
      await this.#store.publish(key)
    })
    this.#isSealed = true
  }

  /** Does what needs room for so many bytes. */
  async #noting(bytes: number, work: () => Promise<void>): Promise<void> {
    try {
      await storing(work)
    } catch (error) {
      if (error instanceof Fault && error.code === 'STORE_FULL') this.#store.lacked(bytes)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
    if (!this.#isSealed) await rm(this.#file, { force: true }).catch(leaveForNextStart)
  }
}

/** A draft that cannot be removed now, as on a disk that turned read-only, is removed by the next start. */
const leaveForNextStart = (): void => undefined

async function readExactly(
  handle: FileHandle,
  offset: number,
  bytes: number,
): Promise<Uint8Array | undefined> {
  const buffer = Buffer.allocUnsafe(bytes)
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await handle.read(buffer, done, bytes - done, offset + done)
    if (bytesRead === 0) return undefined
    done += bytesRead
  }
  return buffer
}

/** Runs what needs the disk; whatever the system refuses is a fault of the store. */
async function storing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const code = errorCode(cause)
    if (cause instanceof Fault || code === '') throw cause
    throw serverFault(storeFaultOf(code), `cannot store: ${code}`, { cause })
  }
}

async function ifPresent<T>(pending: Promise<T>): Promise<T | undefined> {
  try {
    return await pending
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
