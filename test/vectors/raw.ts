import { encodeCbor, type CborValue } from '../../protocol/cbor.ts'
import { encodeHead, major } from '../../protocol/cbor-head.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { decodeCbor } from '../../protocol/cbor.ts'
import { encodeManifest, type Manifest } from '../../protocol/manifest.ts'

/**
 * Records and manifests put together from hex, part by part, so that each part can be wrong. It shares no code with the
 * framing and signing of protocol/.
 */
export const bytesOf = (digits: string): Uint8Array => Buffer.from(digits.replaceAll(/\s/g, ''), 'hex')
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const byteString = (bytes: Uint8Array): string =>
  hexOf(encodeHead(major.bytes, bytes.length)) + hexOf(bytes)
export const textString = (text: string): string => hexOf(encodeCbor(text))

export interface RecordParts {
  readonly opening: string
  readonly coseOpening: string
  /** The bytes in the byte string of the protected header. */
  readonly header: string
  /** The encoded byte string, where it is not the one that `header` gives. */
  readonly headerItem: string
  readonly unprotected: string
  readonly payload: Uint8Array
  readonly payloadItem: string
  readonly signature: (toBeSigned: Uint8Array) => Uint8Array
  readonly context: string
  readonly externalData: Uint8Array
  readonly body: string
  readonly after: string
}

export function headerOf(signer: Signer, type = 'logbox-manifest'): string {
  return `a3 0127 04${byteString(signer.publicKey.id)} 10${textString(type)}`
}

/** The record in hex; what is not said is right. */
export function assemble(signer: Signer, parts: Partial<RecordParts> & Pick<RecordParts, 'payload'>): string {
  const header = parts.header ?? headerOf(signer)
  const signature = (parts.signature ?? ((message: Uint8Array) => signer.sign(message)))(
    toBeSigned(bytesOf(header), parts),
  )
  const items = [
    parts.opening ?? 'da4c6f6762 82',
    parts.coseOpening ?? 'd2 84',
    parts.headerItem ?? byteString(bytesOf(header)),
    parts.unprotected ?? 'a0',
    parts.payloadItem ?? byteString(parts.payload),
    byteString(signature),
    parts.body ?? 'f6',
    parts.after ?? '',
  ]
  return hexOf(bytesOf(items.join('')))
}

function toBeSigned(
  header: Uint8Array,
  parts: Partial<RecordParts> & Pick<RecordParts, 'payload'>,
): Uint8Array {
  const externalData = parts.externalData ?? new Uint8Array(0)
  const items = [byteString(header), byteString(externalData), byteString(parts.payload)]
  return bytesOf(`84 ${textString(parts.context ?? 'Signature1')}${items.join('')}`)
}

/** Values in hex, encoded or not so well; undefined takes the key away. */
export type FieldChanges = Readonly<Record<number, string | undefined>>

/** The manifest's encoding with some of its fields changed. */
export function payloadWith(manifest: Manifest, changes: FieldChanges = {}): Uint8Array {
  const fields = new Map<number, string>()
  for (const [key, value] of fieldsOf(manifest)) fields.set(key, hexOf(encodeCbor(value)))
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) fields.delete(Number(key))
    else fields.set(Number(key), value)
  }
  const sorted = [...fields].toSorted(([a], [b]) => a - b)
  const pairs = sorted.map(([key, value]) => hexOf(encodeCbor(key)) + value)
  return bytesOf(hexOf(encodeHead(5, sorted.length)) + pairs.join(''))
}

function fieldsOf(manifest: Manifest): ReadonlyMap<number, CborValue> {
  return decodeCbor(encodeManifest(manifest)) as ReadonlyMap<number, CborValue>
}

/** The bytes with one bit flipped, counted from the first byte's highest. */
export function withBitFlipped(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Uint8Array.from(bytes)
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7))
  return flipped
}
