import type { Signer } from '../../protocol/ed25519-policy.ts'
import { equalBytes, type DeviceId } from '../../protocol/ids.ts'
import type { RecordFrame } from '../../protocol/record.ts'
import { accept, refuse } from '../../protocol/refusal.ts'
import { checkRecord, type KeyRing } from '../../protocol/verify.ts'

/** The key ring of a device that checks its own records. */
export function ownKeys(device: DeviceId, signer: Signer): KeyRing {
  return (named, keyId) => {
    const isOwn = named === device && equalBytes(keyId, signer.publicKey.id)
    return isOwn ? accept(signer.publicKey) : refuse('KEY_UNKNOWN')
  }
}

/**
 * Whether a record that the ring does not know was made by another device, or with another key; else it is one of its own, and
 * damaged where it names device or key. No two keys have ids that are the same but for one byte.
 */
export function isAnothers(frame: RecordFrame, { publicKey }: Signer): boolean {
  let differing = 0
  const { ok } = checkRecord(frame, (_device, keyId) => {
    differing = publicKey.id.filter((byte, at) => byte !== keyId[at]).length
    return accept(publicKey)
  })
  return ok || differing > 1
}
