import { parseArgs } from 'node:util'
import { Flight } from '../test/kit/flight.ts'
import { killAtRandom } from '../test/kit/kill-rounds.ts'
import { chooseSeed, withSeed } from '../test/kit/seeded.ts'

const help = `node scripts/kill-soak.ts [KILLS] [--seed SEED]

Kills the agent and the server by SIGKILL, each KILLS times (20) at random moments, while four files are written; after
every 20 kills all of them must be on the server byte for byte, once, and verify. The seed of a failure is printed.

  node scripts/kill-soak.ts 1000`

const killsBetweenProofs = 20

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
})
if (values.help) console.log(help)
else
  await soak(countOf(positionals[0] ?? '20'), values.seed === undefined ? chooseSeed() : countOf(values.seed))

function countOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  console.error(`kill-soak: "${text}" is no number\n\n${help}`)
  return process.exit(64)
}

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
