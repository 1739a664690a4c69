import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeCbor, type CborValue } from '../../protocol/cbor.ts'
import { limits } from '../../protocol/contract.ts'
import { signEnvelope } from '../../protocol/cose.ts'
import { hex, sha256, parseDeviceId, type Epoch, type Sequence } from '../../protocol/ids.ts'
import {
  maxReceiptBytes,
  outcomes,
  signReceipt,
  verifyReceipt,
  type Receipt,
  type ReceiptEntry,
} from '../../protocol/receipt.ts'
import { refusals } from '../../protocol/refusal.ts'
import * as any from '../kit/arbitrary-records.ts'
import { entryToJson } from '../vectors/files.ts'
import { hexa, quad, testKeys } from '../vectors/keys.ts'
import { withBitFlipped } from '../vectors/raw.ts'
import { outcomeOf } from './judge.ts'

const { signer } = testKeys.server
const pinned = [signer.publicKey]

const place = fc.record({
  epoch: any.count.map((value) => value as Epoch),
  seq: any.count.map((value) => value as Sequence),
})
const safe = fc.record({
  place,
  digest: any.digest,
  outcome: fc.constantFrom(...outcomes.filter((one) => one !== 'refused')),
})
const refused = fc.record({
  place: fc.option(place),
  digest: any.digest,
  outcome: fc.constant('refused' as const),
  refusal: fc.oneof(fc.constantFrom(...Object.keys(refusals)), fc.stringMatching(/^[A-Z][A-Z0-9_]{0,47}$/)),
})
const entries: fc.Arbitrary<ReceiptEntry[]> = fc.array(fc.oneof(safe, refused), { maxLength: 8 })
const receipt: fc.Arbitrary<Receipt> = fc.record(
  { device: any.device, timeMs: any.count, entries, query: any.digest },
  { requiredKeys: ['device', 'timeMs', 'entries'] },
)

test('each receipt comes back as it was signed', () => {
  fc.assert(
    fc.property(receipt, (given) => {
      const verdict = verifyReceipt(signReceipt(given, signer), pinned, given.device)
      if (!verdict.ok) throw new Error(verdict.refusal)
      expect(hex(signReceipt(verdict.value, signer))).toBe(hex(signReceipt(given, signer)))
      expect(verdict.value.entries.map(({ outcome }) => outcome)).toEqual(
        given.entries.map(({ outcome }) => outcome),
      )
    }),
  )
})

test('a receipt that is to answer a query is of that query, and no other', () => {
  fc.assert(
    fc.property(receipt, any.digest, (given, asked) => {
      const verdictOf = (own: Receipt) =>
        outcomeOf(verifyReceipt(signReceipt(own, signer), pinned, own.device, asked))
      const { query: _none, ...ofBatch } = given
      expect(verdictOf({ ...given, query: asked })).toBe('accepted')
      expect(verdictOf(ofBatch)).toBe('RECEIPT_INVALID')
      expect(verdictOf({ ...given, query: sha256(asked) })).toBe('RECEIPT_INVALID')
    }),
    { numRuns: 30 },
  )
})

test('a receipt is valid for its device and under a pinned key only', () => {
  fc.assert(
    fc.property(entries, any.count, (given, timeMs) => {
      const bytes = signReceipt({ device: hexa, timeMs, entries: given }, signer)
      expect(verifyReceipt(bytes, [testKeys.otherServer.signer.publicKey, ...pinned], hexa).ok).toBe(true)
      expect(outcomeOf(verifyReceipt(bytes, pinned, quad))).toBe('RECEIPT_INVALID')
      expect(outcomeOf(verifyReceipt(bytes, [testKeys.otherServer.signer.publicKey], hexa))).toBe(
        'RECEIPT_INVALID',
      )
      expect(outcomeOf(verifyReceipt(bytes, [], hexa))).toBe('RECEIPT_INVALID')
    }),
    { numRuns: 30 },
  )
})

const example = signReceipt(
  {
    device: hexa,
    timeMs: 1,
    entries: [{ place: null, digest: testDigest(), outcome: 'refused', refusal: 'BODY_HASH_WRONG' }],
  },
  signer,
)

function testDigest(): ReceiptEntry['digest'] {
  return Buffer.alloc(32, 7) as Uint8Array as ReceiptEntry['digest']
}

test('a receipt with one bit flipped is refused, whichever it is', () => {
  for (let bit = 0; bit < 8 * example.length; bit++) {
    expect(verifyReceipt(withBitFlipped(example, bit), pinned, hexa).ok, `bit ${bit}`).toBe(false)
  }
})

test('a receipt cut at any length is refused', () => {
  for (let length = 0; length < example.length; length++) {
    expect(verifyReceipt(example.subarray(0, length), pinned, hexa).ok).toBe(false)
  }
})

test('no bytes make the reader throw', () => {
  fc.assert(
    fc.property(any.bytes(0, 300), (bytes) => {
      expect(outcomeOf(verifyReceipt(bytes, pinned, hexa))).toBe('RECEIPT_INVALID')
    }),
    { numRuns: 1_000 },
  )
})

test('a receipt for the largest batch is within its limit, with the longest numbers and code', () => {
  const entry: ReceiptEntry = {
    place: { epoch: Number.MAX_SAFE_INTEGER as Epoch, seq: Number.MAX_SAFE_INTEGER as Sequence },
    digest: testDigest(),
    outcome: 'refused',
    refusal: 'X'.repeat(48),
  }
  const largest = Array.from({ length: limits.maxBatchRecords }, () => entry)
  const bytes = signReceipt({ device: hexa, timeMs: Number.MAX_SAFE_INTEGER, entries: largest }, signer)
  expect(bytes.length).toBeLessThan(maxReceiptBytes)
  expect(verifyReceipt(bytes, pinned, hexa).ok).toBe(true)
})

test('a code that only a later server knows is told, and voids neither its entry nor the others', () => {
  const before: ReceiptEntry = {
    place: { epoch: 1 as Epoch, seq: 0 as Sequence },
    digest: testDigest(),
    outcome: 'stored',
  }
  const later: ReceiptEntry = {
    place: null,
    digest: testDigest(),
    outcome: 'refused',
    refusal: 'QUOTA_OF_2030_USED_UP',
  }
  const verdict = verifyReceipt(
    signReceipt({ device: hexa, timeMs: 1, entries: [before, later] }, signer),
    pinned,
    hexa,
  )
  if (!verdict.ok) throw new Error(verdict.refusal)
  expect(verdict.value.entries.map(entryToJson)).toEqual([before, later].map(entryToJson))
})

test('a device that is not text is nobody, whatever text it would become', () => {
  for (const [item, name] of [
    [7, '7'],
    [null, 'null'],
    [Buffer.of(7), '7'],
  ] as const) {
    const device = parseDeviceId(name)
    const payload = encodeCbor(
      new Map<number, CborValue>([
        [0, 1],
        [1, item],
        [2, 1],
        [3, []],
      ]),
    )
    const bytes = signEnvelope(payload, 'logbox-receipt', signer)
    expect(device && outcomeOf(verifyReceipt(bytes, pinned, device))).toBe('RECEIPT_INVALID')
  }
})
