import type { Signer } from '../../protocol/ed25519-policy.ts'
import { equalBytes, type DeviceId } from '../../protocol/ids.ts'
import { accept, refuse } from '../../protocol/refusal.ts'
import type { KeyRing } from '../../protocol/verify.ts'

/** The key ring of a device that checks its own records. */
export function ownKeys(device: DeviceId, signer: Signer): KeyRing {
  return (named, keyId) => {
    const isOwn = named === device && equalBytes(keyId, signer.publicKey.id)
    return isOwn ? accept(signer.publicKey) : refuse('KEY_UNKNOWN')
  }
}
