import * as fc from 'fast-check'
import { noProgramCounts, runProgram, type ProgramCounts } from './program-run.ts'
import { programs, showProgram } from './program-steps.ts'

export type ProgramsVerdict =
  | { readonly ok: true; readonly counts: ProgramCounts }
  /** The smallest program found that fails, and how. */
  | { readonly ok: false; readonly report: string }

/** Smaller programs are looked for as long as this. */
const shrinkMs = 120_000

/**
 * Runs `count` random programs, the same ones for the same seed. `tellFailure` hears of each that fails at once: who is ended while
 * smaller ones are looked for has still said what it was about.
 */
export async function checkPrograms(
  count: number,
  seed: number,
  tellFailure: (report: string) => void,
): Promise<ProgramsVerdict> {
  const counts = noProgramCounts()
  let endMs = Infinity
  const property = fc.asyncProperty(programs(), async (program) => {
    // What is not tried any more counts as one that passes: the smallest that failed stays the smallest.
    if (performance.now() > endMs) return
    await runProgram(program, counts).catch((cause: unknown) => {
      endMs = Math.min(endMs, performance.now() + shrinkMs)
      tellFailure(`[\n${showProgram(program)}\n]\n${whyOf(cause)}`)
      throw cause
    })
  })
  const found = await fc.check(property, { numRuns: count, seed })
  if (!found.failed) return { ok: true, counts }
  const [program = []] = found.counterexample ?? []
  const again = `seed ${found.seed}, path ${found.counterexamplePath}, after ${found.numShrinks} shrinks`
  return { ok: false, report: `${again}:\n[\n${showProgram(program)}\n]\n${whyOf(found.errorInstance)}` }
}

const whyOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
