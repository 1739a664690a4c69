import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { placeAfter } from '../../protocol/chain.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import { limits } from '../../protocol/contract.ts'
import { hex, sha256 } from '../../protocol/ids.ts'
import { encodeManifest, type Manifest } from '../../protocol/manifest.ts'
import { scanRecord } from '../../protocol/record.ts'
import { seal } from '../../protocol/seal.ts'
import { verifyRecord } from '../../protocol/verify.ts'
import * as any from '../kit/arbitrary-records.ts'
import { itsKey, sealed, signer } from '../kit/sealed-record.ts'
import { firstPlace, label, lines, offsetOf, text, time } from '../vectors/samples.ts'
import { judge, outcomeOf } from './judge.ts'

describe('sealed, then verified', () => {
  const chunk = any.content.chain((bytes) =>
    fc.record({ bytes: fc.constant(bytes), offset: any.offsetFor(bytes.length) }),
  )

  test('each chunk of each stream at each place gives the same bytes and the same manifest', async () => {
    await fc.assert(
      fc.asyncProperty(chunk, any.label, any.time, any.head, async ({ bytes, offset }, label, time, head) => {
        const record = await sealed(bytes, head, { label, offset, time })
        const verdict = judge(record.bytes, itsKey)
        if (!verdict.ok) throw new Error(verdict.refusal)
        const { manifest, digest, content } = verdict.value
        expect(hex(content ?? new Uint8Array(0))).toBe(hex(bytes))
        expect(hex(encodeManifest(manifest))).toBe(hex(encodeManifest(record.manifest)))
        expect(manifest).toMatchObject({
          ...placeAfter(head),
          path: label.path,
          tags: label.tags,
          offset,
          time,
        })
        expect(hex(digest)).toBe(hex(record.digest))
        expect(record.head).toEqual({ ...head, next: head.next + 1, last: digest })
      }),
      { numRuns: 300 },
    )
  })

  const length = any.count.filter((value) => value > 0)
  const loss = fc.record({
    kind: fc.constant('loss' as const),
    length: fc.option(length),
    reason: any.lossReason,
    offset: any.offsetFor(Number.MAX_SAFE_INTEGER),
  })
  const close = fc.record({ kind: fc.constant('close' as const), length: any.count, sha256: any.digest })

  test('each loss and each end of a file gives the same manifest', () => {
    const own = fc.oneof(loss, close)
    fc.assert(
      fc.property(own, any.label, any.time, any.head, (fields, label, time, head) => {
        const manifest: Manifest = { ...placeAfter(head), ...label, time, ...fields }
        const verdict = judge(seal(manifest, null, head, signer).bytes, itsKey)
        if (!verdict.ok) throw new Error(verdict.refusal)
        expect(verdict.value.content).toBe(null)
        expect(hex(encodeManifest(verdict.value.manifest))).toBe(hex(encodeManifest(manifest)))
      }),
    )
  })

  test('the longest manifest fits its limit, and a record is no longer than its body and the overhead', async () => {
    const longest: StreamLabel = {
      ...label,
      path: Buffer.alloc(limits.maxPathBytes, 0xff),
      tags: new Map([['n', 'v'.repeat(1_018)]]),
    }
    const record = await sealed(Buffer.alloc(70_000, 'x'), firstPlace(), {
      label: longest,
      offset: offsetOf(2 ** 52),
      time,
    })
    expect(outcomeOf(judge(record.bytes, itsKey))).toBe('accepted')
    expect(encodeManifest(record.manifest).length).toBeLessThanOrEqual(limits.maxManifestBytes)
    const overhead = 6 + 2 + 2 + 30 + 1 + (3 + limits.maxManifestBytes) + 66 + 5
    expect(overhead).toBeLessThanOrEqual(limits.maxRecordOverheadBytes)
  })
})

test('a record cut at any length is never whole, and says how much more it needs', async () => {
  const { bytes } = await sealed(Buffer.alloc(300, 'x'), firstPlace())
  for (let length = 0; length < bytes.length; length++) {
    const scan = scanRecord(bytes.subarray(0, length))
    if (scan.is !== 'cut') throw new Error(`${length} bytes are ${scan.is}`)
    expect(scan.needed).toBeGreaterThan(length)
    expect(scan.needed).toBeLessThanOrEqual(bytes.length)
  }
})

test('a record is found at any place, and no byte after it is looked at', async () => {
  const { bytes } = await sealed(text)
  fc.assert(
    fc.property(any.bytes(0, 50), any.bytes(0, 50), (before, after) => {
      const scan = scanRecord(Buffer.concat([before, bytes, after]), before.length)
      expect(scan.is === 'whole' && [scan.end, hex(scan.frame.bytes)]).toEqual([
        before.length + bytes.length,
        hex(bytes),
      ])
    }),
  )
})

test('a body of another record of the same length does not pass', async () => {
  const [one, two] = await Promise.all([sealed(Buffer.from('one\n')), sealed(Buffer.from('two\n'))])
  const swapped = Buffer.concat([one.bytes.subarray(0, -4), two.bytes.subarray(-4)])
  expect(outcomeOf(judge(swapped, itsKey))).toBe('BODY_HASH_WRONG')
})

test('verifying leaves the bytes as they are', async () => {
  const { bytes } = await sealed(lines)
  const before = hex(sha256(bytes))
  const scan = scanRecord(bytes)
  if (scan.is === 'whole') verifyRecord(scan.frame, itsKey)
  expect(hex(sha256(bytes))).toBe(before)
})
