import { Flight } from '../test/kit/flight.ts'
import { killAtRandom } from '../test/kit/kill-rounds.ts'
import { withSeed } from '../test/kit/seeded.ts'
import { soakOptions } from './soak-options.ts'

const help = `node scripts/kill-soak.ts [KILLS] [--seed SEED]

Kills the agent and the server by SIGKILL, each KILLS times (20) at random moments, while four files are written; after
every 20 kills all of them must be on the server byte for byte, once, and verify. The seed of a failure is printed.

  node scripts/kill-soak.ts 1000`

const killsBetweenProofs = 20

const options = soakOptions('kill-soak', help, 20)
if (options) await soak(options.count, options.seed)

async function soak(kills: number, seed: number): Promise<void> {
  console.log(`seed ${seed}: ${kills} kills of the agent and ${kills} of the server`)
  await withSeed(seed, async (chance) => {
    await using flight = await Flight.start()
    for (let done = 0; done < kills;) {
      const round = Math.min(killsBetweenProofs, kills - done)
      await killAtRandom(flight, { agent: round, server: round }, chance)
      done += round
      await flight.startAgent()
      const { receiptedBytes } = await flight.land()
      await flight.expectWhole()
      await flight.expectQueueEmpty()
      console.log(
        `${done} kills each, ${receiptedBytes} bytes: nothing missing, nothing twice, all of it verifies`,
      )
    }
  })
}
