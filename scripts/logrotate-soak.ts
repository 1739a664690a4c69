import { spawnSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Flight } from '../test/kit/flight.ts'
import { hasLogrotate, rotationModes } from '../test/kit/rotation.ts'
import { addUp } from '../test/kit/rotation-account.ts'
import { flyRotations, rotationSettings, type Rotated } from '../test/kit/rotation-rounds.ts'
import { withSeed, type Seeded } from '../test/kit/seeded.ts'
import { soakOptions } from './soak-options.ts'

const help = `node scripts/logrotate-soak.ts [SECONDS] [--seed SEED]

Has the real logrotate rotate ten logs in ten ways for about SECONDS (45), while a writer appends to each, and looks for
every line: on the server, on the disk, and in the loss records. What logrotate itself loses, as between the copy and the
truncation of copytruncate, and what it cuts off or shreds before the file system told the agent of it, is told apart from
what Logbox loses without a record, of which there must be none. The seed chooses how fast is written and rotated; that of a
failure is printed.

  node scripts/logrotate-soak.ts 600`

/** A round is at least so long, so that archives that are named after the second have names of their own. */
const shortestRoundMs = 1200
/** Landing and looking for each line takes about as long again as this part. */
const partForProof = 0.25

const options = soakOptions('logrotate-soak', help, 45)
if (options && hasLogrotate) await soak(options.count, options.seed)
else if (options) console.log('skipped: logrotate is not installed')

async function soak(seconds: number, seed: number): Promise<void> {
  console.log(`seed ${seed}: about ${seconds} s`)
  const endMs = performance.now() + seconds * 1000 * (1 - partForProof)
  await withSeed(seed, async (chance) => {
    const flights: Rotated[] = []
    while (performance.now() < endMs) {
      const left = endMs - performance.now()
      flights.push(...(await fly(chance, Math.min(left, 10_000))))
    }
    tell(flights)
  })
}

async function fly(chance: Seeded, forMs: number): Promise<readonly Rotated[]> {
  await using flight = await Flight.start({ settings: rotationSettings })
  const aside = join(flight.folder, 'aside')
  await mkdir(aside)
  using _disk = otherFileSystem(aside)
  const modes = Object.values(rotationModes)
  const roundMs = shortestRoundMs + chance.below(1000)
  const plan = {
    modes,
    aside,
    rounds: Math.max(2, Math.floor(forMs / roundMs)),
    pauseMs: roundMs / modes.length,
    linesPerTick: 1 + chance.below(20),
  }
  const rotated = await flyRotations(flight, plan)
  await expectRight(flight, rotated)
  return rotated
}

/** A small disk mounted there, if this user may. */
function otherFileSystem(folder: string): Disposable {
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]).status === 0
  if (!isMounted) console.log('olddir is on the same file system: this user may not mount another')
  return { [Symbol.dispose]: () => void (isMounted && spawnSync('umount', [folder])) }
}

async function expectRight(flight: Flight, rotated: readonly Rotated[]): Promise<void> {
  const wrong = rotated.flatMap(({ mode, account, rotations, archives, links }) => [
    ...(archives === rotations ? [] : [`${mode.name}: ${rotations} rotations and ${archives} archives`]),
    ...(links <= 1 ? [] : [`${mode.name}: a file had ${links} links`]),
    ...(account.twice === 0 || mode.isShredded ? [] : [`${mode.name}: ${account.twice} lines stored twice`]),
    ...(account.lostWithoutRecord === 0
      ? []
      : [`${mode.name}: ${account.lostWithoutRecord} lines lost without a record`]),
  ])
  const { problems } = await flight.verify()
  wrong.push(...problems.map((problem) => JSON.stringify(problem)))
  if (wrong.length > 0) throw new Error(wrong.join('\n'))
}

function tell(rotated: readonly Rotated[]): void {
  for (const { name } of Object.values(rotationModes)) {
    tellSum(
      name,
      rotated.filter(({ mode }) => mode.name === name),
    )
  }
  tellSum('in all', rotated)
}

function tellSum(name: string, rotated: readonly Rotated[]): void {
  const sum = (of: (one: Rotated) => number): number => rotated.reduce((total, one) => total + of(one), 0)
  const { written, stored, lostByLogrotate, cutUnseen, lostWithRecord, lostWithoutRecord } = addUp(
    rotated.map(({ account }) => account),
  )
  console.log(
    `${name}: ${sum(({ rotations }) => rotations)} rotations, ${sum(({ bytes }) => bytes)} bytes, ` +
      `${written} lines written, ${stored} stored, ${lostByLogrotate} lost by logrotate, ` +
      `${cutUnseen} cut off before anybody could see them, ` +
      `${lostWithRecord} lost with a record, ${lostWithoutRecord} lost without one`,
  )
}
