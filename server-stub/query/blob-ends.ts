import type { RecordRow } from '../catalog/catalog.ts'
import type { BlobKey, BlobStore } from '../store/blob-store.ts'

export const blobLacking = 'its record is not in the store'

/** Whether the blobs of records reach as far as the catalog says, told by one byte of each. */
export class BlobEnds {
  readonly #ends = new Map<BlobKey, number>()

  /** Passes on records, and keeps where they stand. */
  async *noting(records: AsyncIterable<RecordRow>): AsyncGenerator<RecordRow, void, undefined> {
    for await (const row of records) {
      const { blob, offset, bytes } = row.at
      this.#ends.set(blob, Math.max(this.#ends.get(blob) ?? 0, offset + bytes))
      yield row
    }
  }

  /** The blobs that are gone, or shorter. */
  async lacking(store: BlobStore): Promise<ReadonlySet<BlobKey>> {
    const lacking = new Set<BlobKey>()
    for (const [blob, end] of this.#ends) {
      if (!(await store.read(blob, Math.max(end - 1, 0), 1))) lacking.add(blob)
    }
    return lacking
  }
}
