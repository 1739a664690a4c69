import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { capabilitiesOf, readCapabilities } from '../../protocol/capabilities.ts'
import { limits } from '../../protocol/contract.ts'
import * as any from '../kit/arbitrary-records.ts'

const store = Buffer.alloc(16, 5).toString('base64url')
const own = capabilitiesOf(store)

const read = (said: object) => readCapabilities(Buffer.from(JSON.stringify(said)))

test('what a server says of itself is read as it was said', () => {
  expect(read(own)).toEqual({ ok: true, capabilities: own })
  expect(own.maxRecordBytes).toBe(limits.maxChunkBytes + limits.maxRecordOverheadBytes)
})

test('whatever is said, no limit comes back above our own, and none so low that records become crumbs', () => {
  const offer = fc.oneof(any.count, fc.double(), fc.string(), fc.constant(null))
  fc.assert(
    fc.property(
      offer,
      offer,
      offer,
      offer,
      (maxRecordBytes, maxBatchBytes, maxBatchRecords, maxManifestBytes) => {
        const answer = read({ ...own, maxRecordBytes, maxBatchBytes, maxBatchRecords, maxManifestBytes })
        if (!answer.ok) return
        const { capabilities } = answer
        expect(capabilities.maxRecordBytes).toBeLessThanOrEqual(own.maxRecordBytes)
        expect(capabilities.maxBatchBytes).toBeLessThanOrEqual(own.maxBatchBytes)
        expect(capabilities.maxBatchRecords).toBeLessThanOrEqual(own.maxBatchRecords)
        expect(capabilities.maxRecordBytes).toBeGreaterThanOrEqual(65_536)
        expect(capabilities.maxBatchBytes).toBeGreaterThanOrEqual(65_536)
        expect(capabilities.maxBatchRecords).toBeGreaterThanOrEqual(1)
        expect(capabilities.maxManifestBytes).toBe(limits.maxManifestBytes)
      },
    ),
    { numRuns: 500 },
  )
})

test.each([
  ['a lower limit is obeyed', { maxBatchBytes: 65_536 }, { maxBatchBytes: 65_536 }],
  ['a higher one is not', { maxBatchBytes: 2 ** 40 }, { maxBatchBytes: limits.maxBatchBytes }],
  ['one that is no exact number is not', { maxBatchBytes: 2 ** 60 }, { maxBatchBytes: limits.maxBatchBytes }],
  ['what a later server adds is passed over', { versions: [1, 2], more: {} }, { versions: [1, 2] }],
])('%s', (_title, said, expected) => {
  expect(read({ ...own, ...said })).toMatchObject({ ok: true, capabilities: expected })
})

test.each([
  ['records of a byte', { maxRecordBytes: 1 }, 'tooLittle'],
  ['batches of nothing', { maxBatchRecords: 0 }, 'tooLittle'],
  ['a manifest that no path fits in', { maxManifestBytes: 100 }, 'tooLittle'],
  ['another version', { versions: [2] }, 'otherVersion'],
  ['no versions', { versions: 1 }, 'malformed'],
  ['a limit that is text', { maxBatchBytes: '65536' }, 'malformed'],
  ['a limit below 0', { maxBatchBytes: -1 }, 'malformed'],
  ['a store without a name', { store: '' }, 'malformed'],
  ['a store that a terminal would obey', { store: '\u001b[2J' }, 'malformed'],
])('%s is refused', (_title, said, why) => {
  expect(read({ ...own, ...said })).toEqual({ ok: false, why })
})

test('no bytes make the reader throw', () => {
  const bodies = fc.oneof(
    any.bytes(0, 300),
    fc.json().map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(bodies, (body) => {
      expect(readCapabilities(body).ok).toBe(false)
    }),
    { numRuns: 1_000 },
  )
  expect(readCapabilities(Buffer.from(`{${' '.repeat(5000)}}`))).toEqual({ ok: false, why: 'malformed' })
})
