import { describe, expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import { Writers } from '../kit/kill-rounds.ts'
import { chooseSeed, withSeed } from '../kit/seeded.ts'

const times = [1, 2, 5]

describe('what is killed the moment after a step loses nothing and stores nothing twice', () => {
  test.each([
    'segmentWritten',
    'segmentSynced',
    'indexWritten',
    'requestSent',
    'receiptVerified',
    'forgotten',
  ])('the agent, after %s', async (step) => {
    await withSeed(chooseSeed(), async (chance) => {
      await using flight = await Flight.start()
      {
        await using _writers = new Writers(flight, chance)
        for (const nth of times) {
          const agent = await flight.startDyingAgent(step, nth)
          await expectKilled(agent.exited)
        }
      }
      await flight.startAgent()
      await flight.land()
      expect(await flight.whatIsWrong()).toEqual([])
      await flight.expectQueueEmpty()
    })
  })

  test.each(['stored', 'committed', 'receiptSent'])('the server, after %s', async (step) => {
    await withSeed(chooseSeed(), async (chance) => {
      await using flight = await Flight.start()
      await flight.startAgent()
      {
        await using _writers = new Writers(flight, chance)
        for (const nth of times) {
          await flight.killServer()
          const server = await flight.startDyingServer(step, nth)
          await expectKilled(server.exited)
        }
      }
      await flight.startServer()
      await flight.land()
      expect(await flight.whatIsWrong()).toEqual([])
      await flight.expectQueueEmpty()
    })
  })
})

async function expectKilled(exited: Promise<{ readonly signal: string | null }>): Promise<void> {
  const { signal } = await exited
  if (signal !== 'SIGKILL') throw new Error(`it ended with ${signal}, not by its own hand`)
}
