import { checkBody, decodeBody } from './body.ts'
import { keyIdOfEnvelope, verifyEnvelope } from './cose.ts'
import type { PublicKey } from './ed25519-policy.ts'
import { sha256, type DeviceId, type Digest, type KeyId } from './ids.ts'
import { decodeManifest, type Manifest } from './manifest.ts'
import type { RecordFrame } from './record.ts'
import { accept, refuse, type Verdict } from './refusal.ts'

/** A record whose every signed word was checked. */
export interface VerifiedRecord extends CheckedRecord {
  /** The log's bytes; null where the body was withheld or the kind has none. */
  readonly content: Uint8Array | null
}

/** Which key a device may sign with; a refusal says why this one may not be used. */
export type KeyRing = (device: DeviceId, keyId: KeyId) => Verdict<PublicKey>

/** A record whose signature and body are its device's own, not inflated. */
export interface CheckedRecord {
  readonly manifest: Manifest
  readonly digest: Digest
  readonly frame: RecordFrame
}

/**
 * Checks a record, cheapest first: the envelope's header, the manifest (4 KiB at most; it names the device, whose keys
 * are asked for), the signature, the body's hash, and only then is the body inflated, with the signed length as its
 * limit. Never throws, whatever the bytes.
 */
export function verifyRecord(frame: RecordFrame, keys: KeyRing): Verdict<VerifiedRecord> {
  const checked = checkRecord(frame, keys)
  if (!checked.ok) return checked
  const { manifest } = checked.value
  if (manifest.kind !== 'data' || frame.body === null) return accept({ ...checked.value, content: null })
  const content = decodeBody(manifest, frame.body)
  return content.ok ? accept({ ...checked.value, content: content.value }) : content
}

/** The same without inflating: enough for the device that made the record to know that it is still whole. */
export function checkRecord(frame: RecordFrame, keys: KeyRing): Verdict<CheckedRecord> {
  const keyId = keyIdOfEnvelope(frame.envelope, 'logbox-manifest')
  if (!keyId.ok) return keyId
  const decoded = decodeManifest(frame.envelope.payload)
  if (!decoded.ok) return decoded
  const manifest = decoded.value
  const key = keys(manifest.device, keyId.value)
  if (!key.ok) return key
  if (!verifyEnvelope(frame.envelope, key.value)) return refuse('SIGNATURE_WRONG')
  const body = checkBodyOf(manifest, frame.body)
  return body.ok ? accept({ manifest, digest: digestOf(frame), frame }) : body
}

function checkBodyOf(manifest: Manifest, body: Uint8Array | null): Verdict<Uint8Array | null> {
  if (body === null) return accept(null)
  return manifest.kind === 'data' ? checkBody(manifest, body) : refuse('BODY_UNEXPECTED')
}

/** The digest by which a receipt names this record, even one that was refused. */
export function digestOf(frame: RecordFrame): Digest {
  return sha256(frame.envelope.payload)
}
