import { parseArgs } from 'node:util'
import { chooseSeed } from '../test/kit/seeded.ts'

interface Soak {
  readonly count: number
  readonly seed: number
}

/** COUNT and --seed, as each soak takes them. Prints its help, and gives nothing, with --help; ends the process on a wrong number. */
export function soakOptions(name: string, help: string, countOtherwise: number): Soak | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) {
    console.log(help)
    return undefined
  }
  const [count] = positionals
  return {
    count: count === undefined ? countOtherwise : numberIn(count, name, help),
    seed: values.seed === undefined ? chooseSeed() : numberIn(values.seed, name, help),
  }
}

function numberIn(text: string, name: string, help: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  console.error(`${name}: "${text}" is no number\n\n${help}`)
  return process.exit(64)
}
