import { parsePublicKey } from '../../protocol/ed25519-policy.ts'
import { equalBytes, hex } from '../../protocol/ids.ts'
import { scanRecord } from '../../protocol/record.ts'
import { accept, refuse, type Verdict } from '../../protocol/refusal.ts'
import { verifyRecord, type KeyRing, type VerifiedRecord } from '../../protocol/verify.ts'
import { register } from '../vectors/keys.ts'

export interface Registration {
  readonly device: string
  readonly publicKeyHex: string
  readonly state: string
}

/** The keys of a register as vector files have it. */
export function keyRingOf(register: readonly Registration[]): KeyRing {
  const keys = register.map((entry) => ({
    ...entry,
    key: parsePublicKey(Buffer.from(entry.publicKeyHex, 'hex')),
  }))
  return (device, keyId) => {
    const ofDevice = keys.filter((entry) => entry.device === device)
    if (ofDevice.length === 0) return refuse('DEVICE_UNKNOWN')
    const found = ofDevice.find(({ key }) => key && equalBytes(key.id, keyId))
    if (!found?.key) return refuse('KEY_UNKNOWN')
    return found.state === 'active' ? accept(found.key) : refuse('KEY_REVOKED')
  }
}

/** What the server of the vectors knows. */
export const registered = keyRingOf(
  register.map(({ device, state, key }) => ({
    device,
    state,
    publicKeyHex: hex(key.signer.publicKey.bytes),
  })),
)

/** The verdict on bytes that should be exactly one record. */
export function judge(bytes: Uint8Array, keys: KeyRing): Verdict<VerifiedRecord> {
  const scan = scanRecord(bytes)
  if (scan.is === 'tooLarge') return refuse('RECORD_TOO_LARGE')
  if (scan.is !== 'whole' || scan.end !== bytes.length) return refuse('RECORD_MALFORMED')
  return verifyRecord(scan.frame, keys)
}

/** 'accepted', or the code. */
export function outcomeOf(verdict: Verdict<unknown>): string {
  return verdict.ok ? 'accepted' : verdict.refusal
}
