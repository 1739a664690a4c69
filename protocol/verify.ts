import { decodeBody } from './body.ts'
import { keyIdOfEnvelope, verifyEnvelope } from './cose.ts'
import type { PublicKey } from './ed25519-policy.ts'
import { sha256, type DeviceId, type Digest, type KeyId } from './ids.ts'
import { decodeManifest, type Manifest } from './manifest.ts'
import type { RecordFrame } from './record.ts'
import { accept, refuse, type Verdict } from './refusal.ts'

/** A record whose every signed word was checked. */
export interface VerifiedRecord {
  readonly manifest: Manifest
  readonly digest: Digest
  /** The log's bytes; null where the body was withheld or the kind has none. */
  readonly content: Uint8Array | null
  readonly frame: RecordFrame
}

/** Which key a device may sign with; a refusal says why this one may not be used. */
export type KeyRing = (device: DeviceId, keyId: KeyId) => Verdict<PublicKey>

/**
 * Checks a record in the order that costs an attacker most: caps, then the signature, then the body's hash, and only
 * then is it inflated, with the signed length as its limit. Never throws, whatever the bytes.
 */
export function verifyRecord(frame: RecordFrame, keys: KeyRing): Verdict<VerifiedRecord> {
  const keyId = keyIdOfEnvelope(frame.envelope, 'logbox-manifest')
  if (!keyId.ok) return keyId
  const decoded = decodeManifest(frame.envelope.payload)
  if (!decoded.ok) return decoded
  const manifest = decoded.value
  const key = keys(manifest.device, keyId.value)
  if (!key.ok) return key
  if (!verifyEnvelope(frame.envelope, key.value)) return refuse('SIGNATURE_WRONG')
  const content = contentOf(manifest, frame.body)
  if (!content.ok) return content
  return accept({ manifest, digest: digestOf(frame), content: content.value, frame })
}

function contentOf(manifest: Manifest, body: Uint8Array | null): Verdict<Uint8Array | null> {
  if (body === null) return accept(null)
  return manifest.kind === 'data' ? decodeBody(manifest, body) : refuse('BODY_UNEXPECTED')
}

/** The digest by which a receipt names this record, even one that was refused. */
export function digestOf(frame: RecordFrame): Digest {
  return sha256(frame.envelope.payload)
}
