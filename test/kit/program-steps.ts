import * as fc from 'fast-check'

/** One thing that happens to the log files, the agent, its queue, the link or the clock. `file` picks among the names that are there. */
export type Step =
  | { readonly do: 'append'; readonly file: number; readonly bytes: number }
  | { readonly do: 'appendPartialLine'; readonly file: number; readonly bytes: number }
  | { readonly do: 'create'; readonly slot: number; readonly bytes: number; readonly hasCommonHead: boolean }
  | { readonly do: 'rename'; readonly file: number; readonly slot: number }
  | { readonly do: 'copyTruncate'; readonly file: number; readonly slot: number }
  | { readonly do: 'truncate'; readonly file: number; readonly quarters: number }
  | {
      readonly do: 'refill'
      readonly file: number
      readonly to: 'smaller' | 'same' | 'greater'
      readonly hasCommonHead: boolean
    }
  | { readonly do: 'overwrite'; readonly file: number; readonly quarters: number; readonly bytes: number }
  | { readonly do: 'unlink'; readonly file: number }
  | { readonly do: 'symlink'; readonly file: number; readonly slot: number }
  | { readonly do: 'hardLink'; readonly file: number; readonly slot: number }
  | { readonly do: 'chmod'; readonly file: number; readonly mode: number }
  | { readonly do: 'start' | 'stop' | 'kill' | 'linkDown' | 'linkUp' | 'look' }
  | { readonly do: 'damage'; readonly what: Damage; readonly at: number }
  | { readonly do: 'jump'; readonly ms: number }

export const damages = ['flipSegment', 'cutSegment', 'flipIndex', 'cutIndex', 'deleteIndex'] as const
/** What is done to the queue while no agent runs. */
export type Damage = (typeof damages)[number]

/** Where files can lie: some where the globs lead, the last two where none does. */
export const slots = ['a.log', 'b.log', 'sub/a.log', 'sub/c.log', '../out/a.log', '../out/d.log'] as const
/** Where symbolic links can lie. */
export const linkSlots = ['current.log', 'sub/current.log'] as const

const file = fc.nat(7)
const slot = fc.nat(slots.length - 1)
const quarters = fc.nat(3)
const bytes = fc.constantFrom(1, 40, 300, 3000, 40_000)
const hasCommonHead = fc.boolean()
const modes = fc.constantFrom(0o444, 0o000, 0o644)
const minute = 60_000

function step<const D extends Step['do']>(
  name: D,
  fields: { [K in keyof Omit<Extract<Step, { do: D }>, 'do'>]: fc.Arbitrary<Extract<Step, { do: D }>[K]> },
): fc.Arbitrary<Step> {
  return fc.record({ do: fc.constant(name), ...fields }) as unknown as fc.Arbitrary<Step>
}

const weighted = [
  [10, step('append', { file, bytes })],
  [4, step('appendPartialLine', { file, bytes })],
  [5, step('create', { slot, bytes, hasCommonHead })],
  [4, step('rename', { file, slot })],
  [2, step('copyTruncate', { file, slot })],
  [2, step('truncate', { file, quarters })],
  [2, step('refill', { file, to: fc.constantFrom('smaller', 'same', 'greater'), hasCommonHead })],
  [2, step('overwrite', { file, quarters, bytes })],
  [2, step('unlink', { file })],
  [1, step('symlink', { file, slot: fc.nat(linkSlots.length - 1) })],
  [1, step('hardLink', { file, slot })],
  [2, step('chmod', { file, mode: modes })],
  [3, step('start', {})],
  [1, step('stop', {})],
  [2, step('kill', {})],
  [3, step('linkDown', {})],
  [2, step('linkUp', {})],
  [5, step('look', {})],
  [4, step('damage', { what: fc.constantFrom(...damages), at: fc.nat(999) })],
  [1, step('jump', { ms: fc.integer({ min: -500_000 * minute, max: 500_000 * minute }) })],
] as const

const mostSteps = 24

/** Any program; shorter ones and smaller numbers first when it shrinks. */
export function programs(): fc.Arbitrary<Step[]> {
  const steps = weighted.map(([weight, arbitrary]) => ({ weight, arbitrary }))
  return fc.array(fc.oneof(...steps), { maxLength: mostSteps, size: 'max' })
}

/** As it stands in a test of its own. */
export function showProgram(program: readonly Step[]): string {
  return program.map((one) => `  ${JSON.stringify(one)},`).join('\n')
}
