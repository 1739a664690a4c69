import { expect, test } from 'vitest'
import { brokenBy, cutsOf, failuresIn } from '../../scripts/bench-link-judge.ts'
import { rowsOf, type Row } from '../../scripts/bench-link-rows.ts'

const rowOf = (words: string): Row => {
  const row = rowsOf(false).find(({ name }) => name.includes(words))
  if (!row) throw new Error(`no row has ${words} in its name`)
  return row
}

const counted = {
  sentBytes: 1_004_000,
  recordBytes: 1_000_000,
  largestBytes: 300_000,
  records: 4,
  failures: [],
}

test('a run in which nothing was given up and only heads were sent besides is whole', () => {
  for (const row of rowsOf(true)) expect(brokenBy(row, counted)).toEqual([])
})

test('a record that is sent twice though nothing was cut is told', () => {
  const twice = { ...counted, sentBytes: 1_300_000 }
  expect(brokenBy(rowOf('stalls'), twice)).toEqual(['300000 bytes that are no new record, of at most 12288'])
  expect(brokenBy(rowOf('64 kbit'), twice)).toEqual([])
})

test('more than a record for each request of each cut is told', () => {
  const row = rowOf('64 kbit')
  expect(cutsOf(row)).toBe(4)
  const twice = { ...counted, largestBytes: 10_000, sentBytes: 1_340_000 }
  expect(brokenBy(row, twice)).toHaveLength(1)
  expect(brokenBy(row, { ...twice, sentBytes: 1_330_000 })).toEqual([])
})

test('an attempt that fails though nothing was cut is told, but not that the link was not there yet', () => {
  const journal = [
    '2026-01-01T00:00:00.000Z deliveryFailed why="connect ECONNREFUSED 127.0.0.1:1" attempt=1 retryInMs=5',
    '2026-01-01T00:00:01.000Z deliveryFailed why="nothing moved for too long" attempt=1 retryInMs=5',
    '2026-01-01T00:00:02.000Z deliveryRecovered attempts=1',
  ].join('\n')
  const failures = failuresIn(journal)
  expect(failures).toEqual(['"nothing moved for too long"'])
  expect(brokenBy(rowOf('stalls'), { ...counted, failures })).toEqual([
    'given up though nothing broke: "nothing moved for too long"',
  ])
  expect(brokenBy(rowOf('64 kbit'), { ...counted, failures })).toEqual([])
})
