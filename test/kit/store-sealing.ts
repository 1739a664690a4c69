import type { Parts } from '../../server-stub/parts.ts'
import type { BlobDraft, BlobKey, BlobStore } from '../../server-stub/store/blob-store.ts'
import { overridable } from './overridable.ts'

/** The store with another way to seal. */
export function sealing(
  seal: (draft: BlobDraft, key: BlobKey) => Promise<void>,
): (parts: Parts) => Partial<Parts> {
  return ({ store }) => ({
    store: Object.assign(overridable<BlobStore>(store), {
      draft: async () => {
        const draft = await store.draft()
        return Object.assign(overridable<BlobDraft>(draft), { seal: (key: BlobKey) => seal(draft, key) })
      },
    }),
  })
}
