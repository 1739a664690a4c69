import { equalBytes } from '../../protocol/ids.ts'
import type { Catalog, NewRecord } from '../catalog/catalog.ts'
import type { BlobKey, BlobStore } from '../store/blob-store.ts'

interface LostParts {
  readonly store: BlobStore
  readonly catalog: Catalog
}

/** The blobs that the store has no more, of the records whose place these take. */
export async function lostBlobs(
  records: readonly NewRecord[],
  { store, catalog }: LostParts,
): Promise<BlobKey[]> {
  const before = new Set<BlobKey>()
  for (const { row, supersedes } of records) {
    if (!supersedes) continue
    const rows = await catalog.recordsAt(row.device, row.epoch, row.seq)
    for (const { digest, at } of rows) if (equalBytes(digest, row.digest)) before.add(at.blob)
  }
  const lost: BlobKey[] = []
  for (const blob of before) if (!(await store.has(blob))) lost.push(blob)
  return lost
}
