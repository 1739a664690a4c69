import { checkPrograms } from '../test/kit/program-check.ts'
import { soakOptions } from './soak-options.ts'

const help = `node scripts/random-programs.ts [PROGRAMS] [--seed SEED]

Runs PROGRAMS (300) random programs: log files are appended to, renamed, truncated, filled anew, overwritten, linked and
deleted; the agent is stopped and killed, its queue damaged, the link cut, the clock set. After each the server must have every
byte that an agent can have read, once, or a loss record that names it. The smallest program that fails is printed, and
its seed.

  node scripts/random-programs.ts 10000`

const options = soakOptions('random-programs', help, 300)
if (options) await check(options.count, options.seed)
// What the killed agents had open nobody closes, and a Node that ends by itself can wait for such a socket for ever.
process.exit()

async function check(programs: number, seed: number): Promise<void> {
  console.log(`seed ${seed}: ${programs} programs`)
  const verdict = await checkPrograms(programs, seed, console.error)
  if (!verdict.ok) {
    console.error(verdict.report)
    process.exitCode = 1
    return
  }
  const { steps, bytes, streams, losses, kills, damages } = verdict.counts
  console.log(
    `${programs} programs, ${steps} steps, ${kills} kills, ${damages} times a damaged queue: ${bytes} bytes written, ` +
      `${streams} streams, ${losses} losses with a record, nothing missing unnoticed, nothing twice, all of it verifies`,
  )
}
