import { serverFault } from '../../server-stub/faults.ts'
import type { BlobDraft, BlobInfo, BlobKey, BlobStore } from '../../server-stub/store/blob-store.ts'

/** Blobs in memory, on a disk that can be made full: what a test needs of the world. */
export class MemoryStore implements BlobStore {
  readonly #blobs = new Map<string, Uint8Array>()
  /** How many more bytes it takes. */
  room = Infinity

  async draft(): Promise<BlobDraft> {
    return new MemoryDraft(this, (key, bytes) => this.#blobs.set(key, bytes))
  }

  take(bytes: number): void {
    if (bytes > this.room) throw serverFault('STORE_FULL', 'cannot store: ENOSPC')
    this.room -= bytes
  }

  async has(key: BlobKey): Promise<boolean> {
    return this.#blobs.has(key)
  }

  async sync(key: BlobKey): Promise<boolean> {
    return this.has(key)
  }

  async read(key: BlobKey, offset: number, bytes: number): Promise<Uint8Array | undefined> {
    const found = this.#blobs.get(key)?.subarray(offset, offset + bytes)
    return found?.length === bytes ? found : undefined
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo, void, undefined> {
    for (const [key, bytes] of this.#blobs) {
      if (key.startsWith(`${prefix}/`)) yield { key: key as BlobKey, bytes: bytes.length, modifiedMs: 0 }
    }
  }

  async removeDrafts(): Promise<void> {
    // A draft lives no longer than the object that holds it.
  }

  async probe(): Promise<void> {
    this.take(1)
    this.room++
  }
}

class MemoryDraft implements BlobDraft {
  readonly #store: MemoryStore
  readonly #publish: (key: BlobKey, bytes: Uint8Array) => void
  #content: Uint8Array = new Uint8Array(0)

  constructor(store: MemoryStore, publish: (key: BlobKey, bytes: Uint8Array) => void) {
    this.#store = store
    this.#publish = publish
  }

  get bytes(): number {
    return this.#content.length
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#store.take(bytes.length)
    this.#content = Buffer.concat([this.#content, bytes])
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    return this.#content.subarray(offset, offset + bytes)
  }

  async seal(key: BlobKey): Promise<void> {
    this.#publish(key, this.#content)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}
