import { equalBytes } from '../../protocol/ids.ts'
import { accept, refuse } from '../../protocol/refusal.ts'
import type { KeyRing } from '../../protocol/verify.ts'
import type { DeviceRow } from '../catalog/catalog.ts'

/** The keys that may bring new records of this device, and no other's. */
export function ingestKeys(sender: DeviceRow): KeyRing {
  return (device, keyId) => {
    if (device !== sender.device) return refuse('DEVICE_MIXED')
    if (!equalBytes(sender.key.id, keyId)) return refuse('KEY_UNKNOWN')
    return sender.revokedMs === null ? accept(sender.key) : refuse('KEY_REVOKED')
  }
}

/** The keys that stored records are checked with: what was signed before a key was revoked stays good. */
export function auditKeys(devices: readonly DeviceRow[]): KeyRing {
  const byName = new Map(devices.map((row) => [row.device, row.key]))
  return (device, keyId) => {
    const key = byName.get(device)
    if (!key) return refuse('DEVICE_UNKNOWN')
    return equalBytes(key.id, keyId) ? accept(key) : refuse('KEY_UNKNOWN')
  }
}
