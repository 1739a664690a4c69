import { PowerCutFlight } from './power-cut-flight.ts'
import { wrongsOf } from './power-cut-oracle.ts'
import { withSeed } from './seeded.ts'

export interface PowerCutCounts {
  flights: number
  cuts: number
  /** Operations of the agent's in all lives. */
  operations: number
  records: number
  bytes: number
}

export function noCounts(): PowerCutCounts {
  return { flights: 0, cuts: 0, operations: 0, records: 0, bytes: 0 }
}

const mostCuts = 4
/** The cut comes with an operation before this one: often while the queue opens, often long after. */
const latestOperations = [40, 150, 600] as const
const queueBytes = [24 * 1024, 1 << 20] as const
const formats = ['text', 'binary'] as const
const chunkBytes = [1000, 4096] as const

/** Flies until the last cut of this seed, lands, and throws, with the seed, where anything is not as it must be. */
export async function flyThroughCuts(seed: number, counts: PowerCutCounts): Promise<void> {
  await withSeed(seed, async (chance) => {
    const options = {
      maxBytes: chance.pick(queueBytes),
      chunkBytes: chance.pick(chunkBytes),
      format: chance.pick(formats),
    }
    await using flight = await PowerCutFlight.start(chance, options)
    const cuts = 1 + chance.below(mostCuts)
    for (let cut = 0; cut < cuts; cut++)
      await flight.flyUntil(1 + chance.below(chance.pick(latestOperations)))
    await flight.land()
    const { wrongs, records, bytes } = await wrongsOf(flight)
    if (wrongs.length > 0) throw new Error(wrongs.join('\n'))
    counts.flights++
    counts.cuts += cuts
    counts.operations += flight.operations
    counts.records += records
    counts.bytes += bytes
  })
}
