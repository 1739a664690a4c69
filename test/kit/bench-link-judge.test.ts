import { expect, test } from 'vitest'
import { brokenBy, failuresIn } from '../../scripts/bench-link-judge.ts'
import { rowsOf, type Row } from '../../scripts/bench-link-rows.ts'

const rowOf = (words: string): Row => {
  const row = rowsOf(false).find(({ name }) => name.includes(words))
  if (!row) throw new Error(`no row has ${words} in its name`)
  return row
}

const counted = {
  sentBytes: 1_004_000,
  recordBytes: 1_000_000,
  unansweredBytes: 0,
  records: 4,
  failures: [],
}

test('a run in which nothing was given up and only heads were sent besides is whole', () => {
  for (const row of rowsOf(true)) expect(brokenBy(row, counted)).toEqual([])
})

test('a record that is sent twice though nothing of it was in flight is told, cut or not', () => {
  const twice = { ...counted, sentBytes: 1_300_000 }
  for (const row of ['stalls', '64 kbit'])
    expect(brokenBy(rowOf(row), twice)).toEqual(['300000 bytes that are no new record, of at most 20480'])
})

test('after cuts no more is sent again than was in flight', () => {
  const twice = { ...counted, unansweredBytes: 300_000, sentBytes: 1_300_000 }
  expect(brokenBy(rowOf('64 kbit'), twice)).toEqual([])
  expect(brokenBy(rowOf('64 kbit'), { ...twice, sentBytes: 1_321_000 })).toHaveLength(1)
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
  expect(brokenBy(rowOf('64 kbit'), { ...counted, failures })).toHaveLength(1)
  expect(brokenBy(rowOf('64 kbit'), { ...counted, failures: ['"read ECONNRESET"'] })).toEqual([])
})
