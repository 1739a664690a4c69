import { flyThroughCuts, noCounts } from '../test/kit/power-cut-seeds.ts'
import { soakOptions } from './soak-options.ts'

const help = `node scripts/power-cuts.ts [FLIGHTS] [--seed SEED]

Flies FLIGHTS (500) drones in memory and cuts the power of each up to four times, each time with a random operation of the
agent on files, LevelDB or link; of what was not synced by then, a random part is left. Afterwards everything that was taken
into the queue, and everything that survived in the files, must be on the server, once. Each flight has a seed of its own,
which is printed when it fails; to fly that one again:

  node scripts/power-cuts.ts 1 --seed 1234`

const options = soakOptions('power-cuts', help, 500)
if (options) await fly(options.count, options.seed)

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
