import { expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import { killAtRandom } from '../kit/kill-rounds.ts'
import { chooseSeed, withSeed } from '../kit/seeded.ts'

test('agent and server, each killed 30 times at random moments, lose nothing and store nothing twice', async () => {
  await withSeed(chooseSeed(), async (chance) => {
    await using flight = await Flight.start()
    await killAtRandom(flight, { agent: 30, server: 30 }, chance)
    await flight.startAgent()
    const { receiptedBytes } = await flight.land()
    expect(receiptedBytes).toBeGreaterThan(100_000)
    await flight.expectWhole()
    await flight.expectQueueEmpty()
  })
})
