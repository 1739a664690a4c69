import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void

/**
 * Gives back to the system what V8 keeps after much was done at once: garbage that is no reason to collect, and pages that it
 * has in store. Nothing else is done meanwhile, for some tenths of a second where there are thousands of files.
 */
export function releaseMemory(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  // With other flags than it was made with, V8 refuses a code cache.
  setFlagsFromString('--no-expose-gc')
  collect({ type: 'major', flavor: 'last-resort' })
}
