import { mediaTypes, paths } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { DeviceId, Digest } from '../../protocol/ids.ts'
import { signQuery, type RecordName } from '../../protocol/query.ts'
import { maxReceiptBytes } from '../../protocol/receipt.ts'
import type { LinkRequest } from './link.ts'

/** The longest answer that is read: the receipt for the largest batch is within this. */
export const maxAnswerBytes = maxReceiptBytes + 1024
export const acceptedTypes = `${mediaTypes.receipt}, ${mediaTypes.problem}`

export interface Question extends LinkRequest {
  /** By which the answer names it. */
  readonly digest: Digest
}

/**
 * Asks the server which of these records it has. At most 4096, none twice. With a nonce, the answer also tells which it
 * has not.
 */
export function askForReceipts(
  records: readonly RecordName[],
  device: DeviceId,
  signer: Signer,
  nonce?: Uint8Array,
): Question {
  const names = records.map(({ epoch, seq, digest }) => ({ epoch, seq, digest }))
  const query = { asks: 'records', device, records: names, ...(nonce && { nonce }) } as const
  const { bytes, digest } = signQuery(query, signer)
  return {
    method: 'POST',
    path: paths.receipts,
    mediaType: mediaTypes.query,
    accept: acceptedTypes,
    body: bytes,
    digest,
    maxAnswerBytes,
  }
}
