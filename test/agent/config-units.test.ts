import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  parseDuration,
  parseSize,
  roughDuration,
  roughSize,
  showDuration,
  showSize,
} from '../../agent/units.ts'

const counts = fc.oneof(
  fc.maxSafeNat(),
  fc.tuple(fc.nat(4000), fc.constantFrom(1000, 1024, 1e6, 1024 ** 2, 1e9, 1024 ** 3)).map(([a, b]) => a * b),
)

test('every size that is printed parses to itself', () => {
  fc.assert(
    fc.property(counts, (bytes) => {
      expect(parseSize(showSize(bytes))).toBe(bytes)
    }),
  )
})

test('every duration that is printed parses to itself', () => {
  fc.assert(
    fc.property(counts, (ms) => {
      expect(parseDuration(showDuration(ms))).toBe(ms)
    }),
  )
})

test('no text makes a parser throw, or give anything but a whole number', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,20}[A-Za-z]{0,3}$/)), (text) => {
      for (const value of [parseSize(text), parseDuration(text)]) {
        expect(value === undefined || Number.isSafeInteger(value)).toBe(true)
      }
    }),
  )
})

test.each([
  ['4096', 4096],
  ['500KB', 500_000],
  ['64KiB', 65_536],
  ['1MiB', 1_048_576],
  ['1GiB', 1_073_741_824],
  ['0', 0],
])('%s is %i bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each([
  ['1500ms', 1500],
  ['5s', 5000],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['2d', 172_800_000],
])('%s is %i ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each([
  '',
  '1.5MiB',
  '-1',
  '1 MiB',
  '1mib',
  'MiB',
  '1e3',
  '9007199254740993',
  '9999999TiB',
  '1Mb',
  '0x10',
])('"%s" is no size', (text) => {
  expect(parseSize(text)).toBeUndefined()
})

test.each(['', '5', '1.5s', '-1s', '5 s', '5S', 's', '1h30m', '99999999999999d'])(
  '"%s" is no duration',
  (text) => {
    expect(parseDuration(text)).toBeUndefined()
  },
)

test('for people sizes and durations are rounded', () => {
  expect([0, 999, 1024, 3_355_443, 2 ** 40].map(roughSize)).toEqual([
    '0 B',
    '999 B',
    '1.0 KiB',
    '3.2 MiB',
    '1.0 TiB',
  ])
  expect([0, 1, 59_000, 125_000, 7_500_000].map(roughDuration)).toEqual(['0s', '1s', '59s', '2m 5s', '2h 5m'])
})
