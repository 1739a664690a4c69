import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits } from '../../protocol/contract.ts'
import { hex, sha256, streamIdFrom, type StreamId } from '../../protocol/ids.ts'
import { signStreams, verifyStreams, type HeldStream, type HeldStreams } from '../../protocol/streams.ts'
import * as any from '../kit/arbitrary-records.ts'
import { hexa, quad, testKeys } from '../vectors/keys.ts'
import { withBitFlipped } from '../vectors/raw.ts'

const { signer } = testKeys.server
const pinned = [signer.publicKey]
const digest = sha256(Buffer.from('the query'))
const asked = { device: hexa, digest, paths: 3 }

const range = fc
  .integer({ min: 1, max: limits.maxChunkBytes })
  .chain((length) =>
    fc.record({ offset: any.offsetFor(length), length: fc.constant(length), sha256: any.digest }),
  )
const run = fc
  .tuple(range, range)
  .map(([a, b]) => (a.offset <= b.offset ? { first: a, last: b } : { first: b, last: a }))
const held: fc.Arbitrary<HeldStream> = fc.record({
  stream: any.bytes(16, 16).map((id) => streamIdFrom(id) as StreamId),
  path: fc.nat(2),
  run: fc.option(run),
  closed: fc.option(fc.record({ length: any.count, sha256: any.digest })),
})
const answer: fc.Arbitrary<HeldStreams> = fc.record({
  device: fc.constant(hexa),
  timeMs: any.count,
  query: fc.constant(digest),
  streams: fc.array(held, { maxLength: 8 }),
})

test('each list comes back as it was signed', () => {
  fc.assert(
    fc.property(answer, (given) => {
      const verdict = verifyStreams(signStreams(given, signer), pinned, asked)
      if (!verdict.ok) throw new Error(verdict.refusal)
      expect(hex(signStreams(verdict.value, signer))).toBe(hex(signStreams(given, signer)))
    }),
    { numRuns: 60 },
  )
})

test('a list answers its own query, device and paths, under a pinned key, and nothing else', () => {
  fc.assert(
    fc.property(answer, any.digest, (given, other) => {
      const bytes = signStreams({ ...given, streams: [{ ...closedStream, path: 2 }] }, signer)
      expect(verifyStreams(bytes, pinned, asked).ok).toBe(true)
      expect(verifyStreams(bytes, pinned, { ...asked, digest: other }).ok).toBe(false)
      expect(verifyStreams(bytes, pinned, { ...asked, device: quad }).ok).toBe(false)
      expect(verifyStreams(bytes, pinned, { ...asked, paths: 2 }).ok).toBe(false)
      expect(verifyStreams(bytes, [testKeys.otherServer.signer.publicKey], asked).ok).toBe(false)
    }),
    { numRuns: 20 },
  )
})

const most = Number.MAX_SAFE_INTEGER
const longest = { offset: (most - limits.maxChunkBytes) as HeldRange['offset'], length: limits.maxChunkBytes }
type HeldRange = NonNullable<HeldStream['run']>['first']
const closedStream: HeldStream = {
  stream: streamIdFrom(new Uint8Array(16)) as StreamId,
  path: 0,
  run: { first: { ...longest, sha256: digest }, last: { ...longest, sha256: digest } },
  closed: { length: most, sha256: digest },
}

const answerOf = (streams: readonly HeldStream[]): Uint8Array =>
  signStreams({ device: hexa, timeMs: most, query: digest, streams }, signer)

test('a list with one bit flipped, or cut, is refused', () => {
  const bytes = answerOf([closedStream])
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    expect(verifyStreams(withBitFlipped(bytes, bit), pinned, asked).ok, `bit ${bit}`).toBe(false)
  }
  for (let length = 0; length < bytes.length; length++) {
    expect(verifyStreams(bytes.subarray(0, length), pinned, asked).ok, `${length} bytes`).toBe(false)
  }
})

test('no bytes make the reader throw', () => {
  fc.assert(
    fc.property(any.bytes(0, 300), (bytes) => {
      expect(verifyStreams(bytes, pinned, asked).ok).toBe(false)
    }),
    { numRuns: 1_000 },
  )
})

test('the longest list is within its limit, and a longer one is refused', () => {
  const streams = Array.from({ length: limits.maxAnswerStreams }, () => closedStream)
  expect(answerOf(streams).length).toBeLessThan(limits.maxStreamsBytes)
  expect(verifyStreams(answerOf(streams), pinned, asked).ok).toBe(true)
  expect(verifyStreams(answerOf([...streams, closedStream]), pinned, asked).ok).toBe(false)
})
