import { createPrivateKey, randomBytes } from 'node:crypto'
import { closeSync, fchmodSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import nacl from 'tweetnacl'
import { parsePublicKey, type PublicKey } from '../protocol/ed25519-policy.ts'
import type { Fault } from '../protocol/fault.ts'
import { showText } from '../protocol/show-text.ts'
import { agentFault } from './faults.ts'
import { pemOf } from './key-file.ts'

/** PrivateKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410, section 7). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const seedBytes = 32
const privateMode = 0o600

/** Makes a device key in a new file, private from its first moment. When it returns, the file survives a power cut. */
export function makeKeyFile(path: string): PublicKey {
  const seed = randomBytes(seedBytes)
  const pair = nacl.sign.keyPair.fromSeed(seed)
  const publicKey = parsePublicKey(pair.publicKey)
  if (!publicKey)
    throw agentFault('SIGNER_BROKEN', 'tweetnacl made a public key that is no point of large order')
  writeNewFile(path, toPem(seed))
  return publicKey
}

function toPem(seed: Uint8Array): string {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' })
  return pemOf(key)
}

function writeNewFile(path: string, text: string): void {
  const file = openNew(path)
  try {
    // The process's umask may have taken bits away; it cannot have added any.
    fchmodSync(file, privateMode)
    writeSync(file, text)
    fsyncSync(file)
    syncFolder(dirname(path))
  } catch (cause) {
    unlinkSync(path)
    throw unwritable(path, cause as NodeJS.ErrnoException)
  } finally {
    closeSync(file)
  }
}

function openNew(path: string): number {
  try {
    return openSync(path, 'wx', privateMode)
  } catch (cause) {
    throw unwritable(path, cause as NodeJS.ErrnoException)
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function unwritable(path: string, cause: NodeJS.ErrnoException): Fault {
  const name = showText(path)
  switch (cause.code) {
    case 'EEXIST':
      return agentFault('KEY_EXISTS', `${name} exists`, { cause })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return agentFault('KEY_FORBIDDEN', `may not write ${name} (${cause.code})`, { cause })
    default:
      return agentFault('KEY_UNWRITABLE', `cannot write ${name} (${cause.code})`, { cause })
  }
}
