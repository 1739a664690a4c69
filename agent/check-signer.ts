import { randomBytes, type KeyObject } from 'node:crypto'
import nacl from 'tweetnacl'
import { equalBytes } from '../protocol/ids.ts'
import { agentFault } from './faults.ts'
import { nativeEd25519, readKey, type Ed25519 } from './key-file.ts'

/** Whether node:crypto, which will sign, and tweetnacl agree under the key at `path`. Throws SIGNER_BROKEN if they do not. */
export function checkSigner(path: string): void {
  const key = readKey(path)
  if (agree(nativeEd25519(key), naclEd25519(seedOf(key)))) return
  throw agentFault('SIGNER_BROKEN', 'node:crypto and tweetnacl do not sign alike')
}

/**
 * Whether both sign the same, and the first accepts what the second signs. The second need not check: it would be half of all
 * that a start computes, for the very bytes that it signs itself.
 */
export function agree(one: Ed25519, other: Omit<Ed25519, 'verify'>): boolean {
  if (!equalBytes(one.publicKey, other.publicKey)) return false
  const message = randomBytes(64)
  const signature = other.sign(message)
  return equalBytes(one.sign(message), signature) && one.verify(message, signature)
}

/** The Ed25519 of tweetnacl, under the key of this seed of 32 bytes. */
export function naclEd25519(seed: Uint8Array): Omit<Ed25519, 'verify'> {
  const { publicKey, secretKey } = nacl.sign.keyPair.fromSeed(seed)
  return { publicKey, sign: (message) => nacl.sign.detached(message, secretKey) }
}

function seedOf(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'pkcs8' }).subarray(-nacl.sign.seedLength)
}
