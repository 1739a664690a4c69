import type { DeviceId } from '../../protocol/ids.ts'
import type { RecordRow } from '../catalog/catalog.ts'
import type { BlobKey } from '../store/blob-store.ts'

/** One thing that is not as it should be. */
export interface Finding {
  readonly code:
    | 'RECEIPT_KEY_WRONG'
    | 'CATALOG_DAMAGED'
    | 'RECORD_DAMAGED'
    | 'BLOB_MISSING'
    | 'BLOB_UNKNOWN'
    | 'BYTES_UNKNOWN'
    | 'ROLE_WRONG'
    | 'STREAM_WRONG'
    | 'LABEL_WRONG'
    | 'CONTENT_WRONG'
    | 'GAP'
    | 'CHAIN_BROKEN'
    | 'FORK'
  readonly device?: DeviceId
  readonly epoch?: number
  readonly seq?: number
  readonly blob?: BlobKey
  readonly detail: string
}

/** A finding that names the place of a record, in its chain and in the store. */
export function findingAt(code: Finding['code'], row: RecordRow, detail: string): Finding {
  const { device, epoch, seq, at } = row
  return { code, device, epoch, seq, blob: at.blob, detail }
}
