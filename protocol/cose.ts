import { encodeCbor } from './cbor.ts'
import { encodeHead, major, readHead } from './cbor-head.ts'
import { verifyEd25519, signatureBytes, type PublicKey, type Signer } from './ed25519-policy.ts'
import { equalBytes, keyIdBytes, type KeyId } from './ids.ts'
import { accept, refuse, type Verdict } from './refusal.ts'

/** What an envelope may hold, as its `typ` header says (RFC 9596). */
export type PayloadType = 'logbox-manifest' | 'logbox-receipt' | 'logbox-query' | 'logbox-streams'

/** The parts of a COSE_Sign1 (RFC 9052, section 4.2); its unprotected header is always empty here. */
export interface Envelope {
  readonly protectedHeader: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

const headerLabels = { algorithm: 1, keyId: 4, type: 16 } as const
const eddsa = -8
/** Tag 18 and an array of exactly four. */
const opening = Uint8Array.of(0xd2, 0x84)
const emptyMap = 0xa0

function encodeProtectedHeader(keyId: KeyId, type: PayloadType): Uint8Array {
  return encodeCbor(
    new Map<number, number | string | Uint8Array>([
      [headerLabels.algorithm, eddsa],
      [headerLabels.keyId, keyId],
      [headerLabels.type, type],
    ]),
  )
}

/** Sig_structure (RFC 9052, section 4.4) without external data. */
function toBeSigned(protectedHeader: Uint8Array, payload: Uint8Array): Uint8Array {
  return encodeCbor(['Signature1', protectedHeader, new Uint8Array(0), payload])
}

/** Signs `payload` and returns the encoded COSE_Sign1. */
export function signEnvelope(payload: Uint8Array, type: PayloadType, signer: Signer): Uint8Array {
  const protectedHeader = encodeProtectedHeader(signer.publicKey.id, type)
  const signature = signer.sign(toBeSigned(protectedHeader, payload))
  return encodeEnvelope({ protectedHeader, payload, signature })
}

/** The one encoding of a COSE_Sign1 (RFC 9052, section 4.2) that this format has: tagged, with an empty unprotected header. */
export function encodeEnvelope({ protectedHeader, payload, signature }: Envelope): Uint8Array {
  return Buffer.concat([
    opening,
    encodeHead(major.bytes, protectedHeader.length),
    protectedHeader,
    Uint8Array.of(emptyMap),
    encodeHead(major.bytes, payload.length),
    payload,
    encodeHead(major.bytes, signature.length),
    signature,
  ])
}

/** The longest protected header this format can have: the key id and the longest of the types. */
export const maxProtectedHeaderBytes = encodeProtectedHeader(
  new Uint8Array(keyIdBytes) as KeyId,
  'logbox-manifest',
).length

export type EnvelopeScan =
  | { readonly is: 'whole'; readonly envelope: Envelope; readonly end: number }
  /** `bytes` may be the start of an envelope; nothing can be said before it holds `needed` bytes. */
  | { readonly is: 'cut'; readonly needed: number }
  | { readonly is: 'malformed' }
  | { readonly is: 'tooLarge' }

/** Reads the envelope that starts at `start`, without copying. Never throws, and reads no further than its end. */
export function scanEnvelope(bytes: Uint8Array, start: number, maxPayloadBytes: number): EnvelopeScan {
  for (const [index, expected] of opening.entries()) {
    const byte = bytes[start + index]
    if (byte === undefined) return { is: 'cut', needed: start + index + 1 }
    if (byte !== expected) return { is: 'malformed' }
  }
  const protectedHeader = scanByteString(bytes, start + opening.length, maxProtectedHeaderBytes)
  if (protectedHeader.is !== 'whole')
    return protectedHeader.is === 'tooLarge' ? { is: 'malformed' } : protectedHeader
  const unprotected = bytes[protectedHeader.end]
  if (unprotected === undefined) return { is: 'cut', needed: protectedHeader.end + 1 }
  if (unprotected !== emptyMap) return { is: 'malformed' }
  const payload = scanByteString(bytes, protectedHeader.end + 1, maxPayloadBytes)
  if (payload.is !== 'whole') return payload
  const signature = scanByteString(bytes, payload.end, signatureBytes)
  if (signature.is !== 'whole') return signature.is === 'tooLarge' ? { is: 'malformed' } : signature
  const envelope = {
    protectedHeader: protectedHeader.bytes,
    payload: payload.bytes,
    signature: signature.bytes,
  }
  return { is: 'whole', envelope, end: signature.end }
}

type ByteStringScan =
  | { readonly is: 'whole'; readonly bytes: Uint8Array; readonly end: number }
  | { readonly is: 'cut'; readonly needed: number }
  | { readonly is: 'malformed' }
  | { readonly is: 'tooLarge' }

function scanByteString(bytes: Uint8Array, start: number, maxBytes: number): ByteStringScan {
  const head = readHead(bytes, start)
  if (head.is !== 'whole') return head
  if (head.major !== major.bytes) return { is: 'malformed' }
  if (head.value > maxBytes) return { is: 'tooLarge' }
  const end = head.end + head.value
  if (end > bytes.length) return { is: 'cut', needed: end }
  return { is: 'whole', bytes: bytes.subarray(head.end, end), end }
}

/** The key id that the envelope names, where its header is exactly `{1: -8, 4: key id, 16: type}`. */
export function keyIdOfEnvelope(envelope: Envelope, type: PayloadType): Verdict<KeyId> {
  const keyIdStart = 5
  const keyId = envelope.protectedHeader.subarray(keyIdStart, keyIdStart + keyIdBytes) as KeyId
  // One encoding exists for each key id, so comparing with it checks every rule of the header at once: the algorithm
  // protected and -8, no `crit`, no duplicate, no other label, shortest forms, this order.
  if (keyId.length !== keyIdBytes) return refuse('ENVELOPE_MALFORMED')
  const isExact = equalBytes(encodeProtectedHeader(keyId, type), envelope.protectedHeader)
  return isExact ? accept(keyId) : refuse('ENVELOPE_MALFORMED')
}

/** Whether `key` signed this payload. */
export function verifyEnvelope(envelope: Envelope, key: PublicKey): boolean {
  return verifyEd25519(key, toBeSigned(envelope.protectedHeader, envelope.payload), envelope.signature)
}

/** The payload of `bytes`, where they are exactly one envelope of this type that one of these keys signed. Never throws. */
export function payloadSignedBy(
  keys: readonly PublicKey[],
  bytes: Uint8Array,
  type: PayloadType,
  maxPayloadBytes: number,
): Uint8Array | undefined {
  const scan = scanEnvelope(bytes, 0, maxPayloadBytes)
  if (scan.is !== 'whole' || scan.end !== bytes.length) return undefined
  const keyId = keyIdOfEnvelope(scan.envelope, type)
  const signer = keyId.ok ? keys.find((known) => equalBytes(known.id, keyId.value)) : undefined
  return signer && verifyEnvelope(scan.envelope, signer) ? scan.envelope.payload : undefined
}
