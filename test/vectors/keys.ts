import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { parsePublicKey, type Signer } from '../../protocol/ed25519-policy.ts'
import { parseDeviceId, type DeviceId } from '../../protocol/ids.ts'

/** PrivateKeyInfo of an Ed25519 key up to its 32 bytes of seed (RFC 8410, section 7). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Signs with the key of this seed. Everything here is public: never use these keys for anything else. */
export function signerOf(seed: Uint8Array): Signer {
  const handle = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(handle).export({ format: 'der', type: 'spki' })
  const publicKey = parsePublicKey(Uint8Array.from(spki.subarray(-32)))
  if (!publicKey) throw new Error('the seed gives a weak key')
  return { publicKey, sign: (message) => sign(null, message, handle) }
}

export interface TestKey {
  readonly seed: Uint8Array
  readonly signer: Signer
}

function testKey(seedHex: string): TestKey {
  const seed = Buffer.from(seedHex, 'hex')
  return { seed, signer: signerOf(seed) }
}

export const testKeys = {
  /** RFC 8032, section 7.1, TEST 1. */
  hexa: testKey('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'),
  quad: testKey('11'.repeat(32)),
  revoked: testKey('22'.repeat(32)),
  unregistered: testKey('33'.repeat(32)),
  server: testKey('44'.repeat(32)),
  otherServer: testKey('55'.repeat(32)),
} as const

export const hexa = deviceNamed('hexa-7')
export const quad = deviceNamed('quad-2')
export const stranger = deviceNamed('nobody')

function deviceNamed(name: string): DeviceId {
  const device = parseDeviceId(name)
  if (device === undefined) throw new Error(`${name} is no device id`)
  return device
}

/** What the server of the vectors knows. */
export const register = [
  { device: hexa, key: testKeys.hexa, state: 'active' },
  { device: hexa, key: testKeys.revoked, state: 'revoked' },
  { device: quad, key: testKeys.quad, state: 'active' },
] as const
