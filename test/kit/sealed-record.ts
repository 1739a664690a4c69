import type { ChainHead } from '../../protocol/chain.ts'
import { encodeBody } from '../../protocol/body.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import type { RecordTime } from '../../protocol/manifest.ts'
import { accept } from '../../protocol/refusal.ts'
import { sealChunk, type SealedRecord } from '../../protocol/seal.ts'
import type { KeyRing } from '../../protocol/verify.ts'
import { testKeys } from '../vectors/keys.ts'
import { firstPlace, label, offsetOf, time } from '../vectors/samples.ts'

export const { signer } = testKeys.hexa
/** Takes the signer's key for that of every device. */
export const itsKey: KeyRing = () => accept(signer.publicKey)

/** The record of these bytes, sealed by `signer`. */
export async function sealed(
  bytes: Uint8Array,
  head: ChainHead = firstPlace(),
  where: { readonly label: StreamLabel; readonly offset: ByteOffset; readonly time: RecordTime } = {
    label,
    offset: offsetOf(0),
    time,
  },
): Promise<SealedRecord> {
  return sealChunk(where.label, where.offset, await encodeBody(bytes), head, where.time, signer)
}
