import { expect, test } from 'vitest'
import { realWorld } from '../../agent/world.ts'

test('monotonic time counts from the boot, so that records of two lives of the agent compare', () => {
  const sinceBootMs = realWorld().clock.monotonicMs()
  const sinceStartMs = performance.now()
  expect(sinceBootMs).toBeGreaterThan(sinceStartMs)
})
