import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { base64url } from '../protocol/ids.ts'
import { parsePublicKey, publicKeyBytes, type Signer } from '../protocol/ed25519-policy.ts'
import { serverFault } from './faults.ts'
import { writeFileDurably } from './store/durable.ts'

const ownerOnly = 0o600
const othersMask = 0o077

const receiptKeyFile = (data: string): string => join(data, 'receipt.key')

/**
 * The server's receipt key. It is made where there never was one: drones pin its public half, so that another key than
 * `pinned`, the one of before, would make every drone refuse its receipts.
 */
export async function openReceiptKey(data: string, pinned: string | undefined): Promise<Signer> {
  const found = await readReceiptKey(data)
  if (pinned === undefined) return found ?? makeReceiptKey(data)
  if (!found) throw serverFault('RECEIPT_KEY_CHANGED', `${receiptKeyFile(data)} is gone; it was ${pinned}`)
  if (base64url(found.publicKey.bytes) === pinned) return found
  throw serverFault('RECEIPT_KEY_CHANGED', `receipt.key is not the key ${pinned} of before`)
}

async function makeReceiptKey(data: string): Promise<Signer> {
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
  await writeFileDurably(receiptKeyFile(data), Buffer.from(pem), ownerOnly)
  return signerOf(privateKey, data)
}

/** The key that is there, or undefined. One that others may read, or that is no key, is a fault. */
export async function readReceiptKey(data: string): Promise<Signer | undefined> {
  const pem = await readPrivately(receiptKeyFile(data))
  if (pem === undefined) return undefined
  try {
    return signerOf(createPrivateKey({ key: pem, format: 'pem' }), data)
  } catch (cause) {
    throw serverFault('RECEIPT_KEY_MALFORMED', `${receiptKeyFile(data)} is not a receipt key`, { cause })
  }
}

async function readPrivately(file: string): Promise<string | undefined> {
  const handle = await open(file, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw serverFault('STORE_UNREADABLE', `cannot read ${file}: ${cause.code}`, { cause })
  })
  if (!handle) return undefined
  await using opened = handle
  const { mode } = await opened.stat()
  if ((mode & othersMask) !== 0) throw serverFault('RECEIPT_KEY_EXPOSED', `others may read ${file}`)
  return opened.readFile('utf8')
}

function signerOf(privateKey: KeyObject, data: string): Signer {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const publicKey = parsePublicKey(Uint8Array.from(spki.subarray(-publicKeyBytes)))
  if (privateKey.asymmetricKeyType !== 'ed25519' || !publicKey) {
    throw serverFault('RECEIPT_KEY_MALFORMED', `${receiptKeyFile(data)} is not an Ed25519 key`)
  }
  return { publicKey, sign: (message) => sign(null, message, privateKey) }
}
