import {
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign as nativeSign,
  verify as nativeVerify,
  type KeyObject,
} from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import nacl from 'tweetnacl'
import { parsePublicKey, type PublicKey, type Signer } from '../protocol/ed25519-policy.ts'
import type { Fault } from '../protocol/fault.ts'
import { equalBytes } from '../protocol/ids.ts'
import { showText } from '../protocol/show-text.ts'
import { agentFault } from './faults.ts'

/** PrivateKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410, section 7). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const seedBytes = 32
const privateMode = 0o600
/** Whatever lets the group or the world read, write or execute. */
const sharedModes = 0o077
/** A key file has 119 bytes. */
const maxFileBytes = 4096

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

function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
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

/**
 * The signer of the key at `path`: node:crypto signs, because it is a hundred times faster, once tweetnacl was seen to
 * agree with it. No message of a fault holds any part of the key.
 */
export function loadSigner(path: string): Signer {
  const key = parseKey(path, readPrivateFile(path))
  const native = nativeEd25519(key)
  if (!agree(native, naclEd25519(seedOf(key)))) {
    throw agentFault('SIGNER_BROKEN', 'node:crypto and tweetnacl do not sign alike')
  }
  const publicKey = parsePublicKey(native.publicKey)
  if (!publicKey) throw agentFault('KEY_INVALID', `the key in ${showText(path)} is of small order`)
  return { publicKey, sign: (message) => native.sign(message) }
}

/** One library's Ed25519 under one key. */
export interface Ed25519 {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
  verify(message: Uint8Array, signature: Uint8Array): boolean
}

/** Whether each accepts what the other signs, and both sign the same. */
export function agree(one: Ed25519, other: Ed25519): boolean {
  if (!equalBytes(one.publicKey, other.publicKey)) return false
  const message = randomBytes(64)
  const [first, second] = [one.sign(message), other.sign(message)]
  return equalBytes(first, second) && one.verify(message, second) && other.verify(message, first)
}

export function nativeEd25519(key: KeyObject): Ed25519 {
  const publicHalf = createPublicKey(key)
  const spki = publicHalf.export({ format: 'der', type: 'spki' })
  return {
    publicKey: spki.subarray(-nacl.sign.publicKeyLength),
    sign: (message) => nativeSign(null, message, key),
    verify: (message, signature) => nativeVerify(null, message, publicHalf, signature),
  }
}

export function naclEd25519(seed: Uint8Array): Ed25519 {
  const { publicKey, secretKey } = nacl.sign.keyPair.fromSeed(seed)
  return {
    publicKey,
    sign: (message) => nacl.sign.detached(message, secretKey),
    verify: (message, signature) => nacl.sign.detached.verify(message, signature, publicKey),
  }
}

function seedOf(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'pkcs8' }).subarray(-seedBytes)
}

/** Exactly one unencrypted Ed25519 key: what encodes differently again, by a comment or a second key, is refused. */
function parseKey(path: string, text: string): KeyObject {
  const key = parsePem(path, text)
  if (key.asymmetricKeyType !== 'ed25519') {
    throw agentFault(
      'KEY_INVALID',
      `${showText(path)} holds a key of type ${key.asymmetricKeyType}, not ed25519`,
    )
  }
  if (pemOf(key).trimEnd() !== text.replaceAll('\r\n', '\n').trimEnd()) {
    throw agentFault('KEY_INVALID', `${showText(path)} holds more than one PKCS#8 key`)
  }
  return key
}

function parsePem(path: string, text: string): KeyObject {
  try {
    return createPrivateKey({ key: text, format: 'pem' })
  } catch (cause) {
    throw agentFault('KEY_INVALID', `${showText(path)} is not an unencrypted private key in PEM`, { cause })
  }
}

function readPrivateFile(path: string): string {
  const file = openToRead(path)
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) throw agentFault('KEY_INVALID', `${showText(path)} is not a file`)
    if ((stats.mode & sharedModes) !== 0) throw exposed(path, stats.mode)
    return readStart(path, file)
  } finally {
    closeSync(file)
  }
}

function readStart(path: string, file: number): string {
  try {
    const bytes = Buffer.alloc(maxFileBytes)
    return bytes.toString('latin1', 0, readSync(file, bytes))
  } catch (cause) {
    throw unreadable(path, cause as NodeJS.ErrnoException)
  }
}

function exposed(path: string, mode: number): Fault {
  const octal = (mode & 0o7777).toString(8).padStart(4, '0')
  return agentFault(
    'KEY_EXPOSED',
    `others than its owner may use the signing key ${showText(path)} (mode ${octal})`,
  )
}

function openToRead(path: string): number {
  try {
    // Without O_NONBLOCK a pipe of that name would wait for ever.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw unreadable(path, cause as NodeJS.ErrnoException)
  }
}

function unreadable(path: string, cause: NodeJS.ErrnoException): Fault {
  const name = showText(path)
  if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') {
    return agentFault('KEY_MISSING', `no signing key at ${name}`, { cause })
  }
  return agentFault('KEY_UNREADABLE', `cannot read the signing key ${name} (${cause.code})`, { cause })
}
