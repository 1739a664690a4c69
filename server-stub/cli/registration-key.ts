import { ed25519 } from '@noble/curves/ed25519.js'
import { parsePublicKey, publicKeyBytes, type PublicKey } from '../../protocol/ed25519-policy.ts'
import { parseBase64url } from '../../protocol/ids.ts'
import { serverFault } from '../faults.ts'

/**
 * The key of a device that is being registered. Under a key with a torsion component a signature may be valid for one
 * verifier and not for another, so none is let in; the signatures need not be checked for it then.
 */
export function parseRegistrationKey(text: string): PublicKey {
  const bytes = parseBase64url(text, publicKeyBytes)
  if (!bytes) throw serverFault('KEY_UNUSABLE', 'the key is not 32 bytes in base64url without padding')
  const key = parsePublicKey(bytes)
  if (!key) throw serverFault('KEY_UNUSABLE', 'the key is weak: not canonical, or of small order')
  if (!isTorsionFree(bytes)) {
    throw serverFault(
      'KEY_UNUSABLE',
      'the key is weak: no point of the curve, or not in its prime-order group',
    )
  }
  return key
}

function isTorsionFree(bytes: Uint8Array): boolean {
  try {
    return ed25519.Point.fromBytes(bytes).isTorsionFree()
  } catch {
    // The library throws where the bytes are no point of the curve.
    return false
  }
}
