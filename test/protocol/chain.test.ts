import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { continues, headAfter, newChain, placeAfter } from '../../protocol/chain.ts'
import { hex, noDigest, sha256, type Digest, type Epoch, type Sequence } from '../../protocol/ids.ts'
import { encodeManifest } from '../../protocol/manifest.ts'
import { seal } from '../../protocol/seal.ts'
import * as any from '../kit/arbitrary-records.ts'
import { hexa, quad, testKeys } from '../vectors/keys.ts'
import { closeOf, epoch, text } from '../vectors/samples.ts'

test('a chain starts at 0, after nothing', () => {
  expect(placeAfter(newChain(hexa, epoch))).toEqual({ device: hexa, epoch, seq: 0, prev: noDigest })
  expect(hex(noDigest)).toBe('00'.repeat(32))
})

test('each record of a chain continues it, names the digest of the one before, and continues it once', () => {
  fc.assert(
    fc.property(any.device, any.count, fc.integer({ min: 1, max: 6 }), (device, number, length) => {
      let head = newChain(device, number as Epoch)
      for (let index = 0; index < length; index++) {
        const manifest = closeOf(text, placeAfter(head))
        expect(continues(head, manifest)).toBe(true)
        expect([manifest.seq, hex(manifest.prev)]).toEqual([index, hex(head.last)])
        const record = seal(manifest, null, head, testKeys.hexa.signer)
        expect(hex(record.digest)).toBe(hex(sha256(encodeManifest(manifest))))
        expect(continues(record.head, manifest)).toBe(false)
        head = record.head
      }
    }),
    { numRuns: 30 },
  )
})

test('another device, epoch, seq or digest does not continue a chain', () => {
  const head = headAfter(newChain(hexa, epoch), sha256(text))
  const place = placeAfter(head)
  expect(continues(head, place)).toBe(true)
  expect(continues(head, { ...place, device: quad })).toBe(false)
  expect(continues(head, { ...place, epoch: (epoch + 1) as Epoch })).toBe(false)
  expect(continues(head, { ...place, seq: 2 as Sequence })).toBe(false)
  expect(continues(head, { ...place, seq: 0 as Sequence })).toBe(false)
  expect(continues(head, { ...place, prev: place.prev.with(31, 0) as Digest })).toBe(false)
})
