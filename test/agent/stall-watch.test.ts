import { expect, test } from 'vitest'
import { StallWatch } from '../../agent/deliver/stall-watch.ts'
import { FakeClock } from '../kit/fake-world.ts'

test('a request that ends in time never asks the kernel, whose table costs milliseconds', async () => {
  const clock = new FakeClock()
  let looks = 0
  const watch = new StallWatch(4000, clock, {
    readWhole: async () => {
      looks++
      return undefined
    },
  })
  watch.socket = { localPort: 1, remotePort: 2, remoteFamily: 'IPv4' } as typeof watch.socket
  const ending = new AbortController()
  const stalled = watch.stalled(ending.signal)
  await clock.someoneSleeps()
  ending.abort()
  expect(await stalled).toBe(false)
  expect(looks).toBe(0)
})
