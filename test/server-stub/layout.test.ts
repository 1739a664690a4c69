import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RecordRow } from '../../server-stub/catalog/catalog.ts'
import { layOut, stretches, type Stretch } from '../../server-stub/query/layout.ts'
import { Overlay } from '../../server-stub/query/overlay.ts'

interface Write {
  readonly offset: number
  readonly length: number
  readonly kind: 'data' | 'withheld' | 'loss'
}

const write: fc.Arbitrary<Write> = fc.record({
  offset: fc.nat(60),
  length: fc.integer({ min: 1, max: 25 }),
  kind: fc.constantFrom('data', 'data', 'data', 'withheld', 'loss'),
})

/** Only what a layout looks at. */
function rowOf({ offset, length, kind }: Write, seq: number): RecordRow {
  const shape = { kind: kind === 'loss' ? 'loss' : 'data', hasBody: kind === 'data' }
  return {
    ...shape,
    seq,
    role: 'first',
    offset,
    length,
    reason: kind === 'loss' ? 'deleted' : null,
  } as RecordRow
}

async function* inOrder(writes: readonly Write[]): AsyncGenerator<RecordRow> {
  for (const [seq, one] of writes.entries()) yield rowOf(one, seq)
}

/** What a place holds after one more write; a loss over bytes makes them outdated. */
function written(before: string | undefined, kind: Write['kind'], seq: number): string {
  if (kind === 'data') return `${seq}`
  const isHere = before !== undefined && before !== 'missing' && before !== 'lost'
  return isHere ? `${before.replace(' outdated', '')} outdated` : 'lost'
}

const nameOf = ({ span, outdated }: Extract<Stretch, { is: 'data' }>): string =>
  `${span.record.seq}${outdated ? ' outdated' : ''}`

test('the content is what writing the records one after the other gives, byte by byte', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 25 }), async (writes) => {
      const expected: string[] = []
      for (const [seq, { offset, length, kind }] of writes.entries()) {
        while (expected.length < offset + length) expected.push('missing')
        for (let at = offset; at < offset + length; at++) expected[at] = written(expected[at], kind, seq)
      }

      const found: string[] = []
      for (const stretch of stretches(await layOut(inOrder(writes)))) {
        const { from, to } = stretch.is === 'data' ? stretch.span : stretch.gap
        const name = stretch.is === 'data' ? nameOf(stretch) : stretch.gap.why
        expect(from).toBe(found.length)
        found.push(...Array<string>((to ?? from) - from).fill(name))
      }
      expect(found).toEqual(expected)
    }),
    { numRuns: 500 },
  )
})

test.each(['falling', 'nested', 'every other'] as const)(
  'laying out records in the worst order (%s) costs little more than their number',
  (order) => {
    const count = 4096
    let looks = 0
    const overlay = new Overlay()
    for (let at = 0; at < count; at++) {
      const from = { falling: 2 * (count - at), nested: at, 'every other': (at * 4093) % 8192 }[order]
      const to = order === 'nested' ? 3 * count - at : from + 1
      const record = rowOf({ offset: from, length: to - from, kind: 'data' }, at)
      overlay.put({
        get from() {
          looks++
          return from
        },
        to,
        record,
      })
    }
    expect(overlay.spans().length).toBeGreaterThanOrEqual(count)
    expect(looks).toBeLessThan(10 * count * Math.log2(count))
  },
)
