import type { EncodedBody } from './body.ts'
import { headAfter, placeAfter, type ChainHead } from './chain.ts'
import type { StreamLabel } from './chunk.ts'
import { signEnvelope } from './cose.ts'
import type { Signer } from './ed25519-policy.ts'
import { sha256, type ByteOffset, type Digest } from './ids.ts'
import { encodeManifest, type DataManifest, type Manifest, type RecordTime } from './manifest.ts'
import { encodeRecord } from './record.ts'

/** A record that its device signed, and the chain's head after it. */
export interface SealedRecord<M extends Manifest = Manifest> {
  readonly manifest: M
  /** SHA-256 of the manifest's encoding. */
  readonly digest: Digest
  /** The record as it is stored and sent. */
  readonly bytes: Uint8Array
  readonly head: ChainHead
}

/** Seals the chunk that starts at `offset` of `label`'s file, whose bytes were encoded as `body`. */
export function sealChunk(
  label: StreamLabel,
  offset: ByteOffset,
  body: EncodedBody,
  head: ChainHead,
  time: RecordTime,
  signer: Signer,
): SealedRecord<DataManifest> {
  const { length, sha256, encoding, bodySha256 } = body
  const content = { offset, length, sha256, encoding, bodyLength: body.body.length, bodySha256 }
  const manifest: DataManifest = { kind: 'data', ...placeAfter(head), ...label, time, ...content }
  return seal(manifest, body.body, head, signer)
}

/** Seals a manifest that was made for this head, with the body it tells of, or none. */
export function seal<M extends Manifest>(
  manifest: M,
  body: Uint8Array | null,
  head: ChainHead,
  signer: Signer,
): SealedRecord<M> {
  const payload = encodeManifest(manifest)
  const digest = sha256(payload)
  const bytes = encodeRecord(signEnvelope(payload, 'logbox-manifest', signer), body)
  return { manifest, digest, bytes, head: headAfter(head, digest) }
}
