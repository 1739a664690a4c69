import { testKeys } from './keys.ts'
import { hexOf } from './raw.ts'

export interface PublicKeyVector {
  readonly id: string
  readonly why: string
  readonly hex: string
  readonly accepted: boolean
}

const accepted = (id: string, why: string, hex: string): PublicKeyVector => ({ id, why, hex, accepted: true })
const refused = (id: string, why: string, hex: string): PublicKeyVector => ({ id, why, hex, accepted: false })

/** The y coordinates of the points whose order divides 8, and their other spelling where they have one below 2^255. */
const smallOrder = [
  ['order-1', `01${'00'.repeat(31)}`],
  ['order-2', `ec${'ff'.repeat(30)}7f`],
  ['order-4', '00'.repeat(32)],
  ['order-8-a', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['order-8-b', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
  ['y-p', `ed${'ff'.repeat(30)}7f`],
  ['y-p-plus-1', `ee${'ff'.repeat(30)}7f`],
] as const

const withSign = (hex: string): string =>
  hex.slice(0, -2) + (Number.parseInt(hex.slice(-2), 16) | 0x80).toString(16)
const rfcKey = hexOf(testKeys.hexa.signer.publicKey.bytes)

export const publicKeys: readonly PublicKeyVector[] = [
  accepted('rfc-8032', 'the key of RFC 8032, section 7.1, TEST 1', rfcKey),
  accepted('server', 'an ordinary key', hexOf(testKeys.server.signer.publicKey.bytes)),
  refused('31', 'a byte too few', rfcKey.slice(2)),
  refused('33', 'a byte too many', `${rfcKey}00`),
  refused('empty', 'no byte', ''),
  refused('y-2-255-minus-1', 'y is not below p', `${'ff'.repeat(31)}7f`),
  ...smallOrder.map(([id, hex]) => refused(id, 'a point of small order, or no canonical point', hex)),
  ...smallOrder.map(([id, hex]) => refused(`${id}-sign`, 'the same with the sign of x set', withSign(hex))),
]
