import * as fc from 'fast-check'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { IndexEntry } from '../../agent/queue/index-entry.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { Shipped, type Write } from '../kit/shipped.ts'

/** Each begins where the one before does, and is shorter. */
const layers: readonly Write[] = [
  { offset: 0, text: 'aaaaaaaaaa' },
  { offset: 0, text: 'BBBBBB' },
  { offset: 0, text: 'ccc' },
]

const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
]

describe('of three records that begin at one offset, each shorter than the one before, none hides what goes on behind it', () => {
  test.each(orders)('sealed anew in the order %i, %i, %i', async (...order) => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    const entries: IndexEntry[] = []
    for (const layer of layers) entries.push(await shipped.write(layer))
    for (const at of order) await queue.sealAnew(entries[at] ?? (await shipped.newest()), never)
    await shipped.store()
    expect(shipped.content).toBe('cccBBBaaaa'.padEnd(24, '.'))
  })

  test('where the second had its receipt before the first is sealed anew', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    const entries: IndexEntry[] = []
    for (const layer of layers) entries.push(await shipped.write(layer))
    const [first] = entries
    if (!first) throw new Error('three wait')
    await shipped.store(({ seq }) => seq !== first.seq)
    await queue.sealAnew(first, never)
    await shipped.store()
    expect(shipped.told.at(-1)).toEqual([6, 'aaaa'])
  })

  test.each([
    ['in one group', true],
    ['one after the other', false],
  ])('where the index is made anew from segments in which they came %s', async (_, isGroup) => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const shipped = new Shipped(kit, queue)
      if (isGroup) await Promise.all(layers.map((layer) => shipped.write(layer)))
      else for (const layer of layers) await shipped.write(layer)
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    await using queue = await kit.open(fakeWorld(2))
    const shipped = new Shipped(kit, queue)
    for (const entry of (await nextBatch(queue, 1 << 20, 3))?.entries ?? [])
      await queue.sealAnew(entry, never)
    await shipped.store()
    expect(shipped.content).toBe('cccBBBaaaa'.padEnd(24, '.'))
  })

  test('nor does a loss hide what was shipped of its range', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    const old = await shipped.write({ offset: 0, text: 'old bytes' })
    await shipped.write({ offset: 0, text: 'NEW' })
    await shipped.lose(0, 20)
    await queue.sealAnew(old, never)
    await shipped.store()
    expect(shipped.told.at(-1)).toEqual([3, ' bytes'])
  })

  test('and what is shipped is still told as it was shipped last, each offset once', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    for (const layer of layers) await shipped.write(layer)
    const ranges = await Array.fromAsync(queue.shipped(kit.label.stream))
    expect(ranges.map(({ offset, length }) => [offset, length])).toEqual([[0, 3]])
    expect(await queue.unnamed(kit.label.stream, 0, 24)).toMatchObject([{ offset: 10, length: 14 }])
  })
})

test('whatever is shipped again and again from any offsets, and whichever of it the server has apart, its content is what was shipped last', async () => {
  const write = fc.record({
    offset: fc.nat(4),
    length: fc.integer({ min: 1, max: 12 }),
    isForked: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(write, { minLength: 3, maxLength: 7 }), fc.nat(), async (writes, turn) => {
      await using kit = await QueueKit.start()
      await using queue = await kit.open()
      const shipped = new Shipped(kit, queue)
      const expected = Buffer.alloc(24, '.')
      const forked: IndexEntry[] = []
      for (const [number, { offset, length, isForked }] of writes.entries()) {
        const text = String.fromCharCode(97 + number).repeat(length)
        expected.write(text, offset)
        const entry = await shipped.write({ offset, text })
        if (isForked) forked.push(entry)
      }
      await shipped.store((entry) => !forked.some(({ seq }) => seq === entry.seq))
      const at = turn % (forked.length + 1)
      for (const entry of [...forked.slice(at), ...forked.slice(0, at)]) await queue.sealAnew(entry, never)
      await shipped.store()
      expect(shipped.content).toBe(expected.toString())
    }),
    { numRuns: 40 },
  )
}, 60_000)
