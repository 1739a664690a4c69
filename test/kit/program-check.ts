import * as fc from 'fast-check'
import { noProgramCounts, runProgram, type ProgramCounts } from './program-run.ts'
import { programs, showProgram } from './program-steps.ts'

export type ProgramsVerdict =
  | { readonly ok: true; readonly counts: ProgramCounts }
  /** The smallest program found that fails, and how. */
  | { readonly ok: false; readonly report: string }

/** Smaller programs are looked for as long as this. */
const shrinkMs = 120_000

/** Runs `count` random programs, the same ones for the same seed. */
export async function checkPrograms(count: number, seed: number): Promise<ProgramsVerdict> {
  const counts = noProgramCounts()
  const property = fc.asyncProperty(programs(), (program) => runProgram(program, counts))
  const limit = { interruptAfterTimeLimit: count * 1000 + shrinkMs, markInterruptAsFailure: true }
  const found = await fc.check(property, { numRuns: count, seed, ...limit })
  if (!found.failed) return { ok: true, counts }
  const [program = []] = found.counterexample ?? []
  const again = `seed ${found.seed}, path ${found.counterexamplePath}, after ${found.numShrinks} shrinks`
  const why = found.errorInstance instanceof Error ? found.errorInstance.message : 'it took too long'
  return { ok: false, report: `${again}:\n[\n${showProgram(program)}\n]\n${why}` }
}
