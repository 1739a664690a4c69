import { parseArgs } from 'node:util'
import { flyThroughCuts, noCounts } from '../test/kit/power-cut-seeds.ts'
import { chooseSeed } from '../test/kit/seeded.ts'

const help = `node scripts/power-cuts.ts [FLIGHTS] [--seed SEED]

Flies FLIGHTS (500) drones in memory and cuts the power of each up to four times, each time with a random operation of the
agent on files, LevelDB or link; of what was not synced by then, a random part is left. Afterwards everything that was taken
into the queue, and everything that survived in the files, must be on the server, once. Each flight has a seed of its own,
which is printed when it fails; to fly that one again:

  node scripts/power-cuts.ts 1 --seed 1234`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
})
if (values.help) console.log(help)
else
  await fly(countOf(positionals[0] ?? '500'), values.seed === undefined ? chooseSeed() : countOf(values.seed))

function countOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  console.error(`power-cuts: "${text}" is no number\n\n${help}`)
  return process.exit(64)
}

async function fly(flights: number, first: number): Promise<void> {
  const counts = noCounts()
  console.log(`seeds ${first} to ${first + flights - 1}`)
  for (let seed = first; seed < first + flights; seed++) await flyThroughCuts(seed, counts)
  const { cuts, operations, records, bytes } = counts
  console.log(
    `${flights} flights, ${cuts} power cuts, ${operations} operations: ${records} records of ${bytes} bytes, ` +
      'nothing taken is lost, no place in the chain is used twice, all of it verifies',
  )
}
