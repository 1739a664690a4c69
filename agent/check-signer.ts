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

/** Whether each accepts what the other signs, and both sign the same. */
export function agree(one: Ed25519, other: Ed25519): boolean {
  if (!equalBytes(one.publicKey, other.publicKey)) return false
  const message = randomBytes(64)
  const [first, second] = [one.sign(message), other.sign(message)]
  return equalBytes(first, second) && one.verify(message, second) && other.verify(message, first)
}

/** The Ed25519 of tweetnacl, under the key of this seed of 32 bytes. */
export function naclEd25519(seed: Uint8Array): Ed25519 {
  const { publicKey, secretKey } = nacl.sign.keyPair.fromSeed(seed)
  return {
    publicKey,
    sign: (message) => nacl.sign.detached(message, secretKey),
    verify: (message, signature) => nacl.sign.detached.verify(message, signature, publicKey),
  }
}

function seedOf(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'pkcs8' }).subarray(-nacl.sign.seedLength)
}
