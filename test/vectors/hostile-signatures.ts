import { createHash } from 'node:crypto'
import { hexaSigner, payload, record, refusedAs, type HostileRecord } from './hostile-record.ts'
import { testKeys } from './keys.ts'
import { byteString, bytesOf, hexOf, payloadWith, withBitFlipped } from './raw.ts'
import { dataOf, text } from './samples.ts'

/** L, the order of the base point (RFC 8032, section 5.1). */
const groupOrder = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n

/** The same signature with S + L: the equation holds as well, and tweetnacl accepts it. */
function plusGroupOrder(signature: Uint8Array): Uint8Array {
  const s = integerOf(signature.subarray(32)) + groupOrder
  return Buffer.concat([signature.subarray(0, 32), littleEndian(s)])
}

/**
 * A signature by the key of RFC 8032's TEST 1 with R = the neutral point and S = h × a, so that S × B = R + h × A.
 * tweetnacl accepts it.
 */
function signedWithIdentity(message: Uint8Array): Uint8Array {
  const { seed, signer } = testKeys.hexa
  const r = bytesOf(`01${'00'.repeat(31)}`)
  const secret = integerOf(clamped(sha512(seed).subarray(0, 32)))
  const h = integerOf(sha512(Buffer.concat([r, signer.publicKey.bytes, message])))
  return Buffer.concat([r, littleEndian((h * secret) % groupOrder)])
}

const sha512 = (bytes: Uint8Array): Uint8Array => createHash('sha512').update(bytes).digest()
const integerOf = (bytes: Uint8Array): bigint => BigInt(`0x${hexOf(bytes.toReversed())}`)
const littleEndian = (value: bigint): Uint8Array => bytesOf(value.toString(16).padStart(64, '0')).toReversed()

/** RFC 8032, section 5.1.5, step 2. */
function clamped(scalar: Uint8Array): Uint8Array {
  const low = (scalar[0] ?? 0) & 0xf8
  const high = ((scalar[31] ?? 0) & 0x7f) | 0x40
  return scalar.with(0, low).with(31, high)
}

const withR = (r: string) => (signature: Uint8Array) => Buffer.concat([bytesOf(r), signature.subarray(32)])

export function wrongSignatures(): HostileRecord[] {
  const wrong = refusedAs('SIGNATURE_WRONG')
  const altered = (id: string, why: string, alter: (signature: Uint8Array) => Uint8Array) =>
    wrong(`signature-${id}`, why, record({ signature: (message) => alter(hexaSigner.sign(message)) }))
  return [
    altered('bit-of-r', 'one bit of R flipped', (signature) => withBitFlipped(signature, 0)),
    altered('bit-of-s', 'one bit of S flipped', (signature) => withBitFlipped(signature, 300)),
    altered('s-plus-l', 'S + L: S must be below L', plusGroupOrder),
    wrong(
      'signature-r-identity',
      'R is the neutral point, and the equation holds: the owner of a key can make such a signature',
      record({ signature: signedWithIdentity }),
    ),
    altered('r-not-canonical', 'R with y = p + 1', withR(`ee${'ff'.repeat(30)}7f`)),
    altered(
      'r-order-8',
      'R is a point of order 8',
      withR('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
    ),
    altered('zero', '64 zero bytes', () => new Uint8Array(64)),
    altered('empty', 'no signature', () => new Uint8Array(0)),
    altered('63', 'a byte too few', (signature) => signature.subarray(0, 63)),
    wrong(
      'signature-of-another-key',
      'another key under this key id',
      record({ signature: (message) => testKeys.quad.signer.sign(message) }),
    ),
    wrong('signature-context', 'signed as Signature, not as Signature1', record({ context: 'Signature' })),
    wrong('signature-external', 'signed with external data', record({ externalData: bytesOf('78') })),
    wrong(
      'signature-bare',
      'the manifest signed without the COSE structure',
      record({ signature: () => hexaSigner.sign(payload) }),
    ),
    wrong(
      'manifest-altered',
      'another seq than was signed',
      record({ payloadItem: byteString(payloadWith(dataOf(text), { 4: '01' })) }),
    ),
  ]
}
