import {
  createPrivateKey,
  createPublicKey,
  sign as nativeSign,
  verify as nativeVerify,
  type KeyObject,
} from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { parsePublicKey, publicKeyBytes, type Signer } from '../protocol/ed25519-policy.ts'
import type { Fault } from '../protocol/fault.ts'
import { showText } from '../protocol/show-text.ts'
import { agentFault } from './faults.ts'

/** Whatever lets the group or the world read, write or execute. */
const sharedModes = 0o077
/** A key file has 119 bytes. */
const maxFileBytes = 4096

/**
 * The signer of the key at `path`: node:crypto signs, because it is a hundred times faster than tweetnacl, which was seen
 * to agree with it before the agent runs. No message of a fault holds any part of the key.
 */
export function loadSigner(path: string): Signer {
  const native = nativeEd25519(readKey(path))
  const publicKey = parsePublicKey(native.publicKey)
  if (!publicKey) throw agentFault('KEY_INVALID', `the key in ${showText(path)} is of small order`)
  return { publicKey, sign: (message) => native.sign(message) }
}

/** The private key at `path`. Throws a KEY_… fault where it is missing, exposed, or no Ed25519 key. */
export function readKey(path: string): KeyObject {
  return parseKey(path, readPrivateFile(path))
}

/** PKCS#8 (RFC 8410) as PEM, as a key file has it. */
export function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}

/** One library's Ed25519 under one key. */
export interface Ed25519 {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
  verify(message: Uint8Array, signature: Uint8Array): boolean
}

/** The Ed25519 of node:crypto. */
export function nativeEd25519(key: KeyObject): Ed25519 {
  const publicHalf = createPublicKey(key)
  const spki = publicHalf.export({ format: 'der', type: 'spki' })
  return {
    publicKey: spki.subarray(-publicKeyBytes),
    sign: (message) => nativeSign(null, message, key),
    verify: (message, signature) => nativeVerify(null, message, publicHalf, signature),
  }
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
