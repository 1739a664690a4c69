import * as fc from 'fast-check'
import nacl from 'tweetnacl'
import { describe, expect, test } from 'vitest'
import { parsePublicKey, verifyEd25519 } from '../../protocol/ed25519-policy.ts'
import { hex } from '../../protocol/ids.ts'
import { bytes } from '../kit/arbitrary-records.ts'
import { lacksSharedData, sharedJson } from '../kit/shared-data.ts'
import { signerOf } from '../vectors/keys.ts'

const fromHex = (digits: string): Uint8Array => Buffer.from(digits, 'hex')

/** The policy as one question: may this signature count? */
function accepts(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = parsePublicKey(publicKey)
  return key !== undefined && verifyEd25519(key, message, signature)
}

interface Expected {
  readonly id: number
  readonly accept: boolean
}

interface WycheproofGroup {
  readonly publicKey: { readonly pk: string }
  readonly tests: readonly {
    readonly tcId: number
    readonly msg: string
    readonly sig: string
    readonly result: string
  }[]
}

interface SpeccheckCase {
  readonly message: string
  readonly pub_key: string
  readonly signature: string
}

interface Rfc8032Case {
  readonly priv: string
  readonly pub: string
  readonly msg: string
  readonly sig: string
}

const strictVerdicts = (of: 'wycheproof' | 'speccheck'): ReadonlyMap<number, boolean> => {
  const file = sharedJson('vectors/ed25519/expected_strict.json') as Record<typeof of, readonly Expected[]>
  return new Map(file[of].map(({ id, accept }) => [id, accept]))
}

describe.skipIf(lacksSharedData)("other people's vectors", () => {
  test('each of the 151 tests of Wycheproof gets its verdict, and the strict one', () => {
    const file = sharedJson('vectors/ed25519/wycheproof_ed25519_test.json') as {
      testGroups: WycheproofGroup[]
    }
    const strict = strictVerdicts('wycheproof')
    const cases = file.testGroups.flatMap((group) =>
      group.tests.map((one) => ({ ...one, key: group.publicKey.pk })),
    )
    expect(cases).toHaveLength(151)
    for (const { tcId, key, msg, sig, result } of cases) {
      const accepted = accepts(fromHex(key), fromHex(msg), fromHex(sig))
      expect(accepted, `Wycheproof ${tcId}`).toBe(result === 'valid')
      expect(accepted, `strict verdict of ${tcId}`).toBe(strict.get(tcId))
    }
  })

  test('each of the 12 cases of speccheck gets the strict verdict', () => {
    const cases = sharedJson('vectors/ed25519/speccheck_cases.json') as SpeccheckCase[]
    const strict = strictVerdicts('speccheck')
    expect(cases).toHaveLength(12)
    for (const [id, { message, pub_key: key, signature }] of cases.entries()) {
      expect(accepts(fromHex(key), fromHex(message), fromHex(signature)), `speccheck ${id}`).toBe(
        strict.get(id),
      )
    }
  })

  test('the keys of RFC 8032 make its signatures, and these are accepted', () => {
    const cases = sharedJson('vectors/ed25519/rfc8032.json') as Rfc8032Case[]
    expect(cases).toHaveLength(4)
    for (const { priv, pub, msg, sig } of cases) {
      const signer = signerOf(fromHex(priv))
      expect(hex(signer.publicKey.bytes)).toBe(pub)
      expect(hex(signer.sign(fromHex(msg)))).toBe(sig)
      expect(accepts(fromHex(pub), fromHex(msg), fromHex(sig))).toBe(true)
    }
  })
})

const seed = bytes(32, 32)
const message = bytes(0, 300)

test('node:crypto and tweetnacl make the same key and the same signature', () => {
  fc.assert(
    fc.property(seed, message, (seedBytes, text) => {
      const pair = nacl.sign.keyPair.fromSeed(Uint8Array.from(seedBytes))
      const signer = signerOf(seedBytes)
      expect(hex(pair.publicKey)).toBe(hex(signer.publicKey.bytes))
      expect(hex(nacl.sign.detached(text, pair.secretKey))).toBe(hex(signer.sign(text)))
    }),
    { numRuns: 60 },
  )
})

test('node:crypto and tweetnacl agree on each signature, whole or with a bit flipped', () => {
  const bitOf = fc.option(fc.nat(511))
  fc.assert(
    fc.property(seed, message, bitOf, (seedBytes, text, bit) => {
      const signer = signerOf(seedBytes)
      const signature = Uint8Array.from(signer.sign(text))
      if (bit !== null) signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(verifyEd25519(signer.publicKey, text, signature)).toBe(bit === null)
      expect(nacl.sign.detached.verify(text, signature, signer.publicKey.bytes)).toBe(bit === null)
    }),
    { numRuns: 60 },
  )
})

test('no 32 bytes as a key and no 64 as a signature make the policy throw', () => {
  fc.assert(
    fc.property(bytes(0, 40), message, bytes(0, 70), (key, text, signature) => {
      expect(accepts(key, text, signature)).toBe(false)
    }),
  )
  fc.assert(
    fc.property(bytes(32, 32), message, bytes(64, 64), (key, text, signature) => {
      expect(accepts(key, text, signature.with(63, 0))).toBe(false)
    }),
  )
})

test('other libraries accept what the policy refuses: it is not idle', () => {
  // The key of order 1 under which (R = A, S = 0) signs every message.
  const identity = fromHex(`01${'00'.repeat(31)}`)
  const forged = Buffer.concat([identity, new Uint8Array(32)])
  expect(nacl.sign.detached.verify(Buffer.from('any'), forged, identity)).toBe(true)
  expect(accepts(identity, Buffer.from('any'), forged)).toBe(false)
})
