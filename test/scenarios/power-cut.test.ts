import { expect, test } from 'vitest'
import { flyThroughCuts, noCounts } from '../kit/power-cut-seeds.ts'
import { chooseSeed } from '../kit/seeded.ts'

const flights = 60

test('whatever a power cut throws away of what was not synced: nothing taken is lost, and no place is used twice', async () => {
  const counts = noCounts()
  const first = chooseSeed()
  for (let seed = first; seed < first + flights; seed++) await flyThroughCuts(seed, counts)
  expect(counts.flights).toBe(flights)
  expect(counts.bytes).toBeGreaterThan(100_000)
})

test('a seed gives the same flight again', async () => {
  const [once, again] = [noCounts(), noCounts()]
  const seed = chooseSeed()
  await flyThroughCuts(seed, once)
  await flyThroughCuts(seed, again)
  expect(again).toEqual(once)
})
