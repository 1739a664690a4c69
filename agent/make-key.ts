import { createPrivateKey, randomBytes } from 'node:crypto'
import { closeSync, fchmodSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import nacl from 'tweetnacl'
import { parsePublicKey, type PublicKey } from '../protocol/ed25519-policy.ts'
import type { Fault } from '../protocol/fault.ts'
import { showText } from '../protocol/show-text.ts'
import { agentFault } from './faults.ts'
import { pemOf } from './key-file.ts'
import { makeFolders } from './make-folders.ts'

/** PrivateKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410, section 7). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const seedBytes = 32
const privateMode = 0o600
const privateFolderMode = 0o700

/**
 * Makes a device key in a new file, private from its first moment, and the folders that it needs. When it returns, all of that
 * survives a power cut. Throws KEY_EXISTS, KEY_FORBIDDEN, KEY_UNWRITABLE.
 */
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
  const made = makeFolderOf(path)
  const file = openNew(path)
  try {
    // The process's umask may have taken bits away; it cannot have added any.
    fchmodSync(file, privateMode)
    writeSync(file, text)
    fsyncSync(file)
    syncFolders(dirname(path), made)
  } catch (cause) {
    unlinkSync(path)
    throw unwritable(path, cause as NodeJS.ErrnoException)
  } finally {
    closeSync(file)
  }
}

/** The first that had to be made. */
function makeFolderOf(path: string): string | undefined {
  try {
    return makeFolders(dirname(path), privateFolderMode)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
      throw unwritable(path, cause as NodeJS.ErrnoException)
    throw agentFault('KEY_UNWRITABLE', `cannot write ${showText(path)}: its folder is a file`, { cause })
  }
}

function openNew(path: string): number {
  try {
    return openSync(path, 'wx', privateMode)
  } catch (cause) {
    throw unwritable(path, cause as NodeJS.ErrnoException)
  }
}

/** Up to the one in which the first was made. */
function syncFolders(path: string, made: string | undefined): void {
  syncFolder(path)
  if (made !== undefined && path.length >= made.length) syncFolders(dirname(path), made)
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
