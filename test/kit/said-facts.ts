import type { FileFacts, Files } from '../../agent/world.ts'
import { openedAs } from './opened-as.ts'

/** Files of which the file system says what `say` makes of the truth, by their path and once they are opened. */
export function saidFacts(say: (facts: FileFacts, path: string) => FileFacts): (real: Files) => Files {
  const told = (facts: FileFacts, path: string): FileFacts => (facts.isFile ? say(facts, path) : facts)
  return (real) => ({
    ...openedAs((file, path) => ({ facts: async () => told(await file.facts(), path) }))(real),
    facts: async (path) => told(await real.facts(path), Buffer.from(path).toString()),
  })
}
