import { createPublicKey, verify, type KeyObject } from 'node:crypto'
import { equalBytes, sha256, keyIdBytes, type KeyId } from './ids.ts'

export const publicKeyBytes = 32
export const signatureBytes = 64

/** An Ed25519 public key that passed the policy. */
export interface PublicKey {
  readonly bytes: Uint8Array
  readonly id: KeyId
  readonly handle: KeyObject
}

/** Signs with Ed25519 (RFC 8032, section 5.1.6): 64 bytes, always the same for the same message. */
export interface Signer {
  readonly publicKey: PublicKey
  sign(message: Uint8Array): Uint8Array
}

/** L, the order of the base point (RFC 8032, section 5.1), as 32 little-endian bytes. */
const groupOrder = Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex')
/** p = 2^255 - 19, likewise. */
const fieldPrime = Buffer.from('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex')

/** The y coordinates of the eight points whose order divides 8, sign bit cleared. */
const smallOrderYs = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map((digits) => Buffer.from(digits, 'hex'))

/** SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410, section 4). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex')

function keyIdOf(publicKey: Uint8Array): KeyId {
  return sha256(publicKey).subarray(0, keyIdBytes) as KeyId
}

/** The key, or undefined where its bytes are not a canonical point of large order. */
export function parsePublicKey(bytes: Uint8Array): PublicKey | undefined {
  if (bytes.length !== publicKeyBytes || !isStrongPoint(bytes)) return undefined
  try {
    const handle = createPublicKey({ key: Buffer.concat([spkiPrefix, bytes]), format: 'der', type: 'spki' })
    return { bytes, id: keyIdOf(bytes), handle }
  } catch {
    // 32 bytes that are no point of the curve: some versions of the library notice here, others in verify.
    return undefined
  }
}

/**
 * Whether `signature` is the key's own for `message`, under the strict policy: S < L (RFC 8032, section 5.1.7), R
 * canonical and not of small order, then the cofactorless equation. No library does all of it: tweetnacl accepts
 * S + L, and Node 20 small-order keys that Node 26 refuses.
 */
export function verifyEd25519(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== signatureBytes) return false
  if (!isLess(signature.subarray(32), groupOrder)) return false
  if (!isStrongPoint(signature.subarray(0, 32))) return false
  return verify(null, message, key.handle, signature)
}

function isStrongPoint(point: Uint8Array): boolean {
  const y = Buffer.from(point)
  y[31] = (y[31] ?? 0) & 0x7f
  return isLess(y, fieldPrime) && !smallOrderYs.some((weak) => equalBytes(weak, y))
}

/** a < b, both little-endian and equally long. The values are public: this need not be constant-time. */
function isLess(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a.toReversed(), b.toReversed()) < 0
}
