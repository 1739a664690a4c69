import { base64url, sha256 } from '../../protocol/ids.ts'
import type { DeviceRow } from './catalog.ts'

/**
 * Stands beside each device and covers all that its row says: nothing signs the register, so one flipped bit could make a
 * revoked key good again. It is no defence against who writes to the catalog on purpose.
 */
export function deviceSum({ device, key, addedMs, revokedMs, lastSeenMs }: DeviceRow): Uint8Array {
  const told = JSON.stringify([device, base64url(key.bytes), addedMs, revokedMs, lastSeenMs])
  return sha256(Buffer.from(told))
}
