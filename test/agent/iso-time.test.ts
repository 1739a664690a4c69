import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isoTime } from '../../agent/iso-time.ts'

/** The last moment that a Date knows, in the year 275760. */
const lastMs = 8.64e15

test('a time is written as Date.toISOString writes it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: lastMs }), (wallMs) => {
      expect(isoTime(wallMs)).toBe(new Date(wallMs).toISOString())
    }),
  )
})

test('a year of more than four digits has a sign', () => {
  expect(isoTime(253402300799999)).toBe('9999-12-31T23:59:59.999Z')
  expect(isoTime(253402300800000)).toBe('+010000-01-01T00:00:00.000Z')
})
