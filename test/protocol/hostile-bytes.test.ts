import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hex } from '../../protocol/ids.ts'
import { recordOpening } from '../../protocol/record.ts'
import * as any from '../kit/arbitrary-records.ts'
import { itsKey } from '../kit/sealed-record.ts'
import { goodRecordHex, goodRecords } from '../vectors/good-records.ts'
import { hostileRecords } from '../vectors/hostile-records.ts'
import { judge, registered } from './judge.ts'

describe('whatever the bytes', () => {
  const known = [...goodRecords.map(goodRecordHex), ...hostileRecords.map((record) => record.hex)]
  const records = known.map((digits) => Uint8Array.from(Buffer.from(digits, 'hex')))
  const mutated = fc
    .tuple(
      fc.constantFrom(...records),
      fc.array(fc.tuple(fc.nat(), any.bytes(0, 6), fc.nat(6)), { minLength: 1, maxLength: 4 }),
    )
    .map(([record, edits]) => edits.reduce(splice, record))
  const random = fc
    .tuple(fc.boolean(), any.bytes(0, 400))
    .map(([opens, bytes]) => (opens ? Buffer.concat([recordOpening, bytes]) : bytes))

  test('no reader throws, and random bytes are never a record', () => {
    fc.assert(
      fc.property(random, (bytes) => {
        expect(judge(bytes, itsKey).ok).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })

  test('no edited record makes a reader throw', () => {
    const intact = new Set(records.map(hex))
    fc.assert(
      fc.property(mutated, (bytes) => {
        const verdict = judge(bytes, registered)
        // An edit may undo another, or withhold the body, which whoever carries a record can always do.
        expect(!verdict.ok || intact.has(hex(bytes)) || verdict.value.frame.body === null).toBe(true)
      }),
      { numRuns: 5_000 },
    )
  })

  test('heads that claim 4 GiB cost no memory', () => {
    const before = process.memoryUsage()
    for (const record of records) {
      for (const claim of ['5affffffff', '5bffffffffffffffff', '9affffffff', 'baffffffff']) {
        for (const at of [6, 8, 40, 41, record.length >> 1])
          judge(splice(record, [at, Buffer.from(claim, 'hex'), 5]), itsKey)
      }
    }
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(32 * 2 ** 20)
    expect(after.rss - before.rss).toBeLessThan(128 * 2 ** 20)
  })
})

/** Some bytes at a place replaced by others. */
function splice(
  bytes: Uint8Array,
  [place, replacement, removed]: readonly [number, Uint8Array, number],
): Uint8Array {
  const at = place % (bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, at), replacement, bytes.subarray(at + removed)])
}
