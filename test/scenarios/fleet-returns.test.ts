import { expect, test } from 'vitest'
import { flying, parked, simulateReturn } from '../../scripts/fleet-return.ts'

/** Agents are alike: a tenth of them shows the same shape, and more of its noise. */
const tenth = { ...flying, agents: 1000 }

test('10,000 agents whose server was away for an hour come back at no more than three times their mean', () => {
  const { peak, mean, allBackMs } = simulateReturn(flying, 1)
  expect(mean).toBeGreaterThan(1000)
  expect(peak).toBeLessThanOrEqual(3 * mean)
  expect(allBackMs).toBeLessThanOrEqual(flying.retry.maxMs)
})

test('on faster links they are done with what they missed sooner, and press no harder', () => {
  const { peak, mean } = simulateReturn({ ...flying, recordMs: 11 }, 1)
  expect(peak).toBeLessThanOrEqual(3 * mean)
})

test('requests of 0.4 s would press harder than that, while everybody catches up', () => {
  const { peak, mean } = simulateReturn({ ...flying, requestMs: 400 }, 1)
  expect(peak).toBeGreaterThan(3 * mean)
})

test.each([1, 2, 3, 4, 5])('whatever chance does, with seed %i', (seed) => {
  const { peak, mean } = simulateReturn(tenth, seed)
  expect(peak).toBeLessThanOrEqual(3 * mean)
})

test('a fleet that has one batch each and writes nothing more is spread over the longest pause, and no further', () => {
  const { peak, mean, allBackMs } = simulateReturn(parked, 1)
  expect(allBackMs).toBeLessThanOrEqual(60_000)
  // Uniform pauses of up to a minute, looked into at any moment: twice as many in the first second as on average.
  expect(peak).toBeLessThan(1.3 * ((2 * parked.agents) / 60))
  expect(peak).toBeGreaterThan(3 * mean)
})
