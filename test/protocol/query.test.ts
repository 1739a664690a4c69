import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits } from '../../protocol/contract.ts'
import { hex, sha256, type Epoch, type Sequence } from '../../protocol/ids.ts'
import { readQuery, signQuery, type Query, type RecordName } from '../../protocol/query.ts'
import * as any from '../kit/arbitrary-records.ts'
import { hexa, testKeys } from '../vectors/keys.ts'
import { withBitFlipped } from '../vectors/raw.ts'

const { signer } = testKeys.hexa

const name: fc.Arbitrary<RecordName> = fc.record({
  epoch: any.count.map((value) => value as Epoch),
  seq: any.count.map((value) => value as Sequence),
  digest: any.digest,
})
const query: fc.Arbitrary<Query> = fc.oneof(
  fc.record(
    {
      asks: fc.constant('records' as const),
      device: any.device,
      nonce: any.bytes(16, 16),
      records: fc.uniqueArray(name, { minLength: 1, maxLength: 9, selector: ({ digest }) => hex(digest) }),
    },
    { requiredKeys: ['asks', 'device', 'records'] },
  ),
  fc.record({
    asks: fc.constant('streams' as const),
    device: any.device,
    nonce: any.bytes(16, 16),
    paths: fc.uniqueArray(any.path, {
      minLength: 1,
      maxLength: 9,
      selector: (path) => hex(Buffer.from(path as string)),
    }),
  }),
)

test('each query comes back as it was signed, and is its own key and no other', () => {
  fc.assert(
    fc.property(query, (given) => {
      const { bytes, digest } = signQuery(given, signer)
      const claimed = readQuery(bytes)
      if (!claimed.ok) throw new Error(claimed.refusal)
      expect(hex(signQuery(claimed.value.query, signer).bytes)).toBe(hex(bytes))
      expect(hex(claimed.value.digest)).toBe(hex(digest))
      expect(hex(claimed.value.keyId)).toBe(hex(signer.publicKey.id))
      expect(claimed.value.isSignedBy(signer.publicKey)).toBe(true)
      expect(claimed.value.isSignedBy(testKeys.quad.signer.publicKey)).toBe(false)
    }),
    { numRuns: 60 },
  )
})

const nameOf = (seq: number): RecordName => ({
  epoch: Number.MAX_SAFE_INTEGER as Epoch,
  seq: (Number.MAX_SAFE_INTEGER - seq) as Sequence,
  digest: sha256(Buffer.from(`${seq}`)),
})

test('a query with one bit flipped is not read, or not signed by its device', () => {
  const { bytes } = signQuery({ asks: 'records', device: hexa, records: [nameOf(1)] }, signer)
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const claimed = readQuery(withBitFlipped(bytes, bit))
    expect(claimed.ok && claimed.value.isSignedBy(signer.publicKey), `bit ${bit}`).toBe(false)
  }
})

test('no bytes make the reader throw', () => {
  fc.assert(
    fc.property(any.bytes(0, 300), (bytes) => {
      expect(readQuery(bytes).ok).toBe(false)
    }),
    { numRuns: 1_000 },
  )
})

const records = (count: number) => Array.from({ length: count }, (_, seq) => nameOf(seq))
const paths = (count: number) =>
  Array.from({ length: count }, (_, at) => `${at}`.padEnd(limits.maxPathBytes, 'p'))
const isRead = (given: Query): boolean => readQuery(signQuery(given, signer).bytes).ok

test('a query may name every record of the largest batch and as many of the longest paths, and not one more', () => {
  const nonce = new Uint8Array(16)
  expect(isRead({ asks: 'records', device: hexa, records: records(4096) })).toBe(true)
  expect(isRead({ asks: 'records', device: hexa, records: records(4097) })).toBe(false)
  expect(isRead({ asks: 'streams', device: hexa, nonce, paths: paths(64) })).toBe(true)
  expect(isRead({ asks: 'streams', device: hexa, nonce, paths: paths(65) })).toBe(false)
})

test('a query that names a record or a path twice is none', () => {
  const nonce = new Uint8Array(16)
  expect(isRead({ asks: 'records', device: hexa, records: [nameOf(1), nameOf(2), nameOf(1)] })).toBe(false)
  expect(isRead({ asks: 'streams', device: hexa, nonce, paths: ['/a', '/b', '/a'] })).toBe(false)
  const bytes = Uint8Array.of(0xff)
  expect(isRead({ asks: 'streams', device: hexa, nonce, paths: [bytes, bytes] })).toBe(false)
  expect(isRead({ asks: 'streams', device: hexa, nonce, paths: [bytes, 'ff'] })).toBe(true)
})
