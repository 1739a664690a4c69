import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { scanRecord } from '../../protocol/record.ts'
import * as any from '../kit/arbitrary-records.ts'
import { itsKey, sealed } from '../kit/sealed-record.ts'
import { goodRecordHex, goodRecords } from '../vectors/good-records.ts'
import { withBitFlipped } from '../vectors/raw.ts'
import { firstPlace, label, offsetOf, time } from '../vectors/samples.ts'
import { judge, outcomeOf, registered } from './judge.ts'

/** Which parts of a record refuse a flipped bit, and with what. */
type Layers = Readonly<Record<string, readonly string[]>>

/** For each part of the record, all the refusals that a flipped bit of it met. */
function layersOf(bytes: Uint8Array): Layers {
  const scan = scanRecord(bytes)
  if (scan.is !== 'whole') throw new Error('not a record')
  const { protectedHeader, payload, signature } = scan.frame.envelope
  const partOf = (at: number): string => {
    const within = (part: Uint8Array) =>
      at >= part.byteOffset - bytes.byteOffset && at < part.byteOffset - bytes.byteOffset + part.length
    if (within(protectedHeader)) return 'header'
    if (within(payload)) return 'manifest'
    if (within(signature)) return 'signature'
    return scan.frame.body && within(scan.frame.body) ? 'body' : 'frame'
  }
  const layers = new Map<string, Set<string>>()
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const part = partOf(bit >> 3)
    const met = layers.get(part) ?? new Set()
    layers.set(part, met.add(outcomeOf(judge(withBitFlipped(bytes, bit), registered))))
  }
  return Object.fromEntries([...layers].map(([part, met]) => [part, [...met].toSorted()]))
}

describe('a flipped bit', () => {
  const smallest = { ...label, path: '/a', tags: new Map() }

  test('anywhere in a record as it stands is refused, by the layer that it is in', async () => {
    const record = await sealed(Buffer.from('log\n'), firstPlace(), {
      label: smallest,
      offset: offsetOf(0),
      time,
    })
    expect(layersOf(Uint8Array.from(record.bytes))).toEqual({
      frame: ['RECORD_MALFORMED', 'RECORD_TOO_LARGE'],
      header: ['ENVELOPE_MALFORMED', 'KEY_UNKNOWN'],
      manifest: ['DEVICE_UNKNOWN', 'MANIFEST_INVALID', 'MANIFEST_MALFORMED', 'SIGNATURE_WRONG'],
      signature: ['SIGNATURE_WRONG'],
      body: ['BODY_HASH_WRONG'],
    })
  })

  test('anywhere in a record with a compressed body, a withheld one, or none is refused', async () => {
    const compressed = await sealed(Buffer.from('a line\n'.repeat(20)), firstPlace(), {
      label: smallest,
      offset: offsetOf(0),
      time,
    })
    const bodyless = goodRecords
      .filter(({ id }) => id === 'data-withheld' || id === 'close')
      .map((record) => Buffer.from(goodRecordHex(record), 'hex'))
    for (const bytes of [compressed.bytes, ...bodyless]) {
      expect(Object.values(layersOf(Uint8Array.from(bytes))).flat()).not.toContain('accepted')
    }
  })

  test('anywhere in any record is refused', async () => {
    await fc.assert(
      fc.asyncProperty(any.content, any.label, any.time, fc.nat(), async (bytes, label, time, place) => {
        const record = await sealed(bytes, firstPlace(), { label, offset: offsetOf(0), time })
        const flipped = withBitFlipped(record.bytes, place % (8 * record.bytes.length))
        expect(judge(flipped, itsKey).ok).toBe(false)
      }),
      { numRuns: 500 },
    )
  })
})
