import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { cdeEncodeOptions, decode, decodeSequence, encode, Tag } from 'cbor2'
import { describe, expect, test } from 'vitest'
import {
  keyIdOfEnvelope,
  scanEnvelope,
  signEnvelope,
  verifyEnvelope,
  type Envelope,
} from '../../protocol/cose.ts'
import { parsePublicKey, type PublicKey } from '../../protocol/ed25519-policy.ts'
import { hex } from '../../protocol/ids.ts'
import { lacksSharedData, sharedJson } from '../kit/shared-data.ts'
import { batches } from '../vectors/chains.ts'
import { goodRecordHex, goodRecords } from '../vectors/good-records.ts'
import { testKeys } from '../vectors/keys.ts'
import { payloadWith, withBitFlipped } from '../vectors/raw.ts'
import { receipts } from '../vectors/receipts.ts'
import type { Answer, Question } from './auth0-cose.ts'

const fromHex = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, 'hex'))
const { seed, signer } = testKeys.hexa

/** Everything that our reader asks of an envelope, down to its signature. */
function isValid(bytes: Uint8Array, key: PublicKey): boolean {
  const scan = scanEnvelope(bytes, 0, 4096)
  if (scan.is !== 'whole' || scan.end !== bytes.length) return false
  return keyIdOfEnvelope(scan.envelope, 'logbox-manifest').ok && verifyEnvelope(scan.envelope, key)
}

/** The parts of an envelope in any profile, read by an independent library. */
function partsOf(bytes: Uint8Array): Envelope | undefined {
  try {
    const tagged: unknown = decode(bytes)
    const parts: unknown = tagged instanceof Tag ? tagged.contents : tagged
    if (!Array.isArray(parts)) return undefined
    const [protectedHeader, , payload, signature]: unknown[] = parts
    const isWhole = [protectedHeader, payload, signature].every((part) => part instanceof Uint8Array)
    return isWhole ? ({ protectedHeader, payload, signature } as Envelope) : undefined
  } catch {
    // It throws on what is no CBOR.
    return undefined
  }
}

interface CoseWgCase {
  readonly title: string
  readonly fail?: boolean
  readonly input: { readonly sign0?: { readonly key: { readonly x_hex?: string } } }
  readonly intermediates: { readonly ToBeSign_hex: string }
  readonly output: { readonly cbor: string }
}

interface GeneratedCase {
  readonly id: string
  readonly expect: string
  readonly hex: string
}

const coseWg = [
  ...['01', '02', '03'].map((number) => `sign1-sign-pass-${number}`),
  ...['01', '02', '03', '04', '06', '07'].map((number) => `sign1-sign-fail-${number}`),
]

describe.skipIf(lacksSharedData)("other people's vectors", () => {
  test('the EdDSA example of COSE-WG has a good signature, and is outside our profile', () => {
    const { input, output } = sharedJson('vectors/cose/eddsa-sig-01.json') as CoseWgCase
    const key = parsePublicKey(fromHex(input.sign0?.key.x_hex ?? ''))
    const parts = partsOf(fromHex(output.cbor))
    if (!key || !parts) throw new Error('the vector is not as expected')
    expect(verifyEnvelope(parts, key)).toBe(true)
    expect(verifyEnvelope({ ...parts, payload: withBitFlipped(parts.payload, 0) }, key)).toBe(false)
    // Its key id is unprotected, and it has no type.
    expect(isValid(fromHex(output.cbor), key)).toBe(false)
  })

  test.each(coseWg)('%s is refused: good or not, it is ES256', (name) => {
    const { output } = sharedJson(`vectors/cose/${name}.json`) as CoseWgCase
    expect(isValid(fromHex(output.cbor), signer.publicKey)).toBe(false)
  })

  const generated = lacksSharedData
    ? []
    : (sharedJson('generated/cose/cases.json') as { cases: GeneratedCase[] }).cases
  /** Of the cases that are COSE_Sign1 at all, those whose signature is wrong. */
  const badSignatures = new Set([
    'payload-bit',
    'sig-bit',
    'protected-bit',
    'sig-63',
    'sig-S+L',
    'aad-mismatch',
  ])

  test.each(generated)('generated case $id is refused, or outside our profile', ({ id, hex: digits }) => {
    // Those to accept have their key id unprotected; the same cases in our profile are in test/vectors.
    expect(isValid(fromHex(digits), signer.publicKey)).toBe(false)
    const parts = partsOf(fromHex(digits))
    const isBad = badSignatures.has(id)
    expect(parts === undefined || verifyEnvelope(parts, signer.publicKey) === !isBad).toBe(true)
  })

  test('there are 23 generated cases, and most of them are COSE_Sign1', () => {
    expect(generated).toHaveLength(23)
    expect(generated.filter((one) => partsOf(fromHex(one.hex))).length).toBeGreaterThan(16)
  })
})

function ask(question: Pick<Question, 'sign' | 'verify'>): Answer {
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const publicKeyDer = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('hex')
  const keyId = hex(signer.publicKey.id)
  const whole: Question = {
    ...question,
    publicKeyDer,
    privateKeyDer: hex(pkcs8),
    keyId,
    type: 'logbox-manifest',
  }
  const script = new URL('auth0-cose.ts', import.meta.url)
  return JSON.parse(
    execFileSync(process.execPath, [script.pathname], { input: JSON.stringify(whole) }).toString(),
  )
}

describe('@auth0/cose, in its own process', () => {
  const payloads = goodRecords
    .filter((record) => record.manifest.device !== 'quad-2')
    .map((record) => payloadWith(record.manifest))
  const ours = payloads.map((payload) => signEnvelope(payload, 'logbox-manifest', signer))
  const altered = ours.map((envelope, index) => withBitFlipped(envelope, 8 * (envelope.length - 40) + index))
  const answer = ask({ sign: payloads.map(hex), verify: [...ours, ...altered].map(hex) })

  test('it accepts each envelope that we make, and reads the same manifest', () => {
    expect(answer.verified.slice(0, ours.length)).toEqual(payloads.map(hex))
  })

  test('it refuses each of them with a bit of the signature flipped', () => {
    expect(answer.verified.slice(ours.length)).toEqual(altered.map(() => null))
  })

  test('its envelopes over the same manifests are the same bytes, and we accept them', () => {
    expect(answer.signed).toEqual(ours.map(hex))
    expect(answer.signed.map((envelope) => isValid(fromHex(envelope), signer.publicKey))).toEqual(
      ours.map(() => true),
    )
  })
})

const reencoded = (digits: string): string => hex(encode(decode(fromHex(digits)), cdeEncodeOptions))

describe('cbor2', () => {
  test('it decodes each record, and encodes it to the same bytes', () => {
    const records = goodRecords.map(goodRecordHex)
    expect(records.map(reencoded)).toEqual(records)
  })

  test('it does so with each manifest and each receipt', () => {
    const manifests = goodRecords.map((record) => hex(payloadWith(record.manifest)))
    const whole = receipts.filter((receipt) => receipt.entries).map((receipt) => receipt.hex)
    for (const digits of [...manifests, ...whole]) expect(reencoded(digits)).toBe(digits)
  })

  test('it finds as many records in a batch', () => {
    for (const { hex: digits, expect: expected } of batches) {
      if (expected.end !== 'whole') continue
      expect([...decodeSequence(fromHex(digits))]).toHaveLength(expected.digests.length)
    }
  })
})
