import { keyIdOfEnvelope, type Envelope } from '../../protocol/cose.ts'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import type { KeyId } from '../../protocol/ids.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import type { RefusalCode } from '../../protocol/refusal.ts'
import type { KeyRing } from '../../protocol/verify.ts'
import type { Catalog, DeviceRow } from '../catalog/catalog.ts'
import { ingestKeys } from './key-ring.ts'

export interface Sender {
  readonly device: DeviceRow['device']
  /** The one that it named. */
  readonly key: PublicKey
  readonly keys: KeyRing
}

/** What turns a whole request away, where none of its records has a sender that may send. */
export type TurnedAway = 'DEVICE_UNKNOWN' | 'KEY_UNKNOWN' | 'KEY_REVOKED'

export type SenderVerdict =
  | { readonly is: 'known'; readonly sender: Sender }
  | { readonly is: 'turnedAway'; readonly refusal: TurnedAway }
  /** The record does not say whose it is. */
  | { readonly is: 'unnamed'; readonly refusal: RefusalCode }

/**
 * Who sends a batch, as this record of it claims: the first that names a registered key decides. The keys are asked for
 * with every batch, so that a device that was added or revoked a moment ago counts at once.
 */
export async function senderOf(envelope: Envelope, catalog: Catalog): Promise<SenderVerdict> {
  const keyId = keyIdOfEnvelope(envelope, 'logbox-manifest')
  if (!keyId.ok) return { is: 'unnamed', refusal: keyId.refusal }
  const manifest = decodeManifest(envelope.payload)
  if (!manifest.ok) return { is: 'unnamed', refusal: manifest.refusal }
  return claimedSender(manifest.value.device, keyId.value, catalog)
}

/** Whether this device may send under this key. Whether it does, its signature says. */
export async function claimedSender(
  device: DeviceRow['device'],
  keyId: KeyId,
  catalog: Catalog,
): Promise<Exclude<SenderVerdict, { is: 'unnamed' }>> {
  const row = await catalog.device(device)
  if (!row) return { is: 'turnedAway', refusal: 'DEVICE_UNKNOWN' }
  const keys = ingestKeys(row)
  const key = keys(device, keyId)
  if (key.ok) return { is: 'known', sender: { device, key: key.value, keys } }
  return { is: 'turnedAway', refusal: key.refusal === 'KEY_REVOKED' ? 'KEY_REVOKED' : 'KEY_UNKNOWN' }
}
