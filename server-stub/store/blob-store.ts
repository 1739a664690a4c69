declare const brand: unique symbol

/** The name of a blob: a path of at least two parts, made by blob-key.ts. */
export type BlobKey = string & { readonly [brand]: 'BlobKey' }

export interface BlobInfo {
  readonly key: BlobKey
  readonly bytes: number
  readonly modifiedMs: number
}

/** A blob that is being written and that nobody can see. Disposed of unsealed, it never was. */
export interface BlobDraft extends AsyncDisposable {
  /** Where the next bytes will stand. */
  readonly bytes: number
  append(bytes: Uint8Array): Promise<void>
  /** What was appended before. */
  read(offset: number, bytes: number): Promise<Uint8Array>
  /**
   * Makes the blob visible under a key that no blob has: whole, and durable once this resolves. It survives a power
   * cut from then on, its name included.
   */
  seal(key: BlobKey): Promise<void>
}

/**
 * Where the records are: blobs that are written once and never changed. What fails is a Fault: STORE_FULL,
 * STORE_UNWRITABLE or STORE_UNREADABLE. test/conformance holds every implementation to this.
 */
export interface BlobStore {
  draft(): Promise<BlobDraft>
  has(key: BlobKey): Promise<boolean>
  /** Makes sure that a blob which became visible in a crash, or as its seal failed, survives a power cut too. */
  sync(key: BlobKey): Promise<boolean>
  /** Those bytes of a blob, or undefined where they are not there or cannot be read. */
  read(key: BlobKey, offset: number, bytes: number): Promise<Uint8Array | undefined>
  /** Every blob once, those under `prefix` only. */
  list(prefix: string): AsyncIterable<BlobInfo>
  /** Removes what a crash left of drafts. Only for the one server that holds the store. */
  removeDrafts(): Promise<void>
  /** Throws where a blob could not be stored now. */
  probe(): Promise<void>
}
