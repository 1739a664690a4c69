import * as fc from 'fast-check'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keys, type IndexEntry } from '../../agent/queue/index-entry.ts'
import { allUnder, IndexStore, put, type IndexWrite } from '../../agent/queue/index-store.ts'
import { realWorld } from '../../agent/world.ts'
import { fakeWorld, skipUntil } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { fileBytes, Shipped, type Write } from '../kit/shipped.ts'

describe('of what a record holds only that is sealed anew of which nothing newer was said', () => {
  test.each<[string, Write[], (readonly [number, string])[]]>([
    ['its front', [{ offset: 0, text: 'NEW' }], [[3, 'bytes-of-old']]],
    [
      'its front and more',
      [
        { offset: 0, text: 'NE' },
        { offset: 2, text: 'WER' },
      ],
      [[5, 'tes-of-old']],
    ],
    ['its back', [{ offset: 11, text: 'NEWER' }], [[0, 'oldbytes-of']]],
    [
      'its middle',
      [{ offset: 3, text: 'BYTES' }],
      [
        [0, 'old'],
        [8, '-of-old'],
      ],
    ],
    ['all of it, and more', [{ offset: 0, text: 'new bytes, and more' }], []],
    [
      'all of it, in pieces',
      [
        { offset: 0, text: 'NEWBYTES' },
        { offset: 8, text: '_OF_NEW!' },
      ],
      [],
    ],
    ['nothing of it', [{ offset: 15, text: 'behind' }], [[0, 'oldbytes-of-old']]],
  ])('where others wrote %s', async (_, newer, left) => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    const old = await shipped.write({ offset: 0, text: 'oldbytes-of-old' })
    for (const write of newer) await shipped.write(write)
    expect(await queue.sealAnew(old, never)).toBe(true)
    expect(queue.ledger.records).toBe(newer.length + left.length)
    await shipped.store()
    expect(shipped.told).toEqual([...newer.map(({ offset, text }) => [offset, text]), ...left])
    expect(queue.ledger.queuedBytes(kit.label.stream)).toBe(0)
  })

  test('also of a file whose stream has ended, and where the newer ones have their receipts', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    const old = await shipped.write({ offset: 0, text: 'old bytes' })
    await shipped.write({ offset: 4, text: 'BYTES' })
    await queue.endStream(kit.label.stream)
    await shipped.store(({ seq }) => seq !== old.seq)
    await queue.sealAnew(old, never)
    await shipped.store()
    expect(shipped.told).toEqual([
      [4, 'BYTES'],
      [0, 'old '],
    ])
  })

  test('also where an agent noted the newer ones that noted no places', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const shipped = new Shipped(kit, queue)
      for (const text of ['old bytes', 'NEW']) await shipped.write({ offset: 0, text })
      await shipped.write({ offset: 9, text: 'as it was' })
    }
    await noteNoPlaces(kit)
    await using queue = await kit.open(fakeWorld(2))
    const shipped = new Shipped(kit, queue)
    const { entries = [] } = (await nextBatch(queue, 1 << 20, 100)) ?? {}
    for (const entry of entries.filter(({ seq }) => seq !== 1)) await queue.sealAnew(entry, never)
    await shipped.store()
    expect(shipped.told).toEqual([
      [0, 'NEW'],
      [3, ' bytes'],
      [9, 'as it was'],
    ])
  })

  test('and what was shipped, and again with other cuts, is at the server as it was shipped last', async () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: fileBytes - 1 }), { maxLength: 4 })
    const isForked = fc.infiniteStream(fc.boolean())
    const programs = fc.record({
      first: cuts,
      again: cuts,
      from: fc.nat(20),
      to: fc.nat(20),
      isForked,
      turn: fc.nat(),
    })
    await fc.assert(
      fc.asyncProperty(programs, async ({ first, again, from, to, isForked, turn }) => {
        await using kit = await QueueKit.start()
        await using queue = await kit.open()
        const shipped = new Shipped(kit, queue)
        const older = pieces('a', 0, fileBytes, first)
        const newer = pieces('A', Math.min(from, to), Math.max(from, to) + 2, again)
        const entries: IndexEntry[] = []
        for (const write of [...older, ...newer]) entries.push(await shipped.write(write))
        const expected = Buffer.from(older.map(({ text }) => text).join(''))
        for (const { offset, text } of newer) expected.write(text, offset)
        const forked = entries.filter(() => isForked.next().value)
        await shipped.store((entry) => !forked.some(({ seq }) => seq === entry.seq))
        const at = turn % (forked.length + 1)
        for (const entry of [...forked.slice(at), ...forked.slice(0, at)]) await queue.sealAnew(entry, never)
        await shipped.store()
        expect(shipped.content).toBe(expected.toString())
        expect(queue.ledger.records).toBe(0)
      }),
      { numRuns: 25 },
    )
  }, 60_000)

  test('also what is on its way into the index meanwhile', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    const shipped = new Shipped(kit, queue)
    const old = await shipped.write({ offset: 0, text: 'old bytes' })
    const other = await shipped.write({ offset: 9, text: 'behind' })
    await queue.sealAnew(other, never)
    world.disk.failing.set('indexWrite', 'EIO')
    const writing = shipped.write({ offset: 4, text: 'BYTES' })
    await world.told.told('queueBlocked')
    const sealing = queue.sealAnew(old, never)
    // It has its turns at the index, too, and could have read all that it wants to know.
    for (let turn = 0; turn < 300; turn++) await queue.recall('stores')
    world.disk.failing.clear()
    await skipUntil(world, Promise.all([writing, sealing]))
    expect(await queue.sealAnew(old, never)).toBe(true)
    await shipped.store()
    expect(shipped.content).toBe('old BYTESbehind.........')
    expect(shipped.told.at(-1)).toEqual([0, 'old '])
  })

  test('of what was lost only that which nothing tells of by now, and it counts once', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    const old = await shipped.lose(0, 10)
    await shipped.write({ offset: 2, text: 'read' })
    await queue.sealAnew(old, never)
    expect(queue.ledger.lostBytes(kit.label.stream)).toBe(10)
    await shipped.store()
    expect(shipped.told).toEqual([
      [2, 'read'],
      [0, 'loss 2'],
      [6, 'loss 4'],
    ])
  })

  test('while a loss takes away nothing that was read', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    const old = await shipped.write({ offset: 0, text: 'old bytes' })
    await shipped.lose(0, 20)
    await queue.sealAnew(old, never)
    await shipped.store()
    expect(shipped.content.slice(0, 9)).toBe('old bytes')
  })
})

describe('the end of a file is sealed anew only as long as it is the last that was said of it', () => {
  describe.each([false, true])('(its resume point says that it is closed: %s)', (hasPoint) => {
    test.each<[string, boolean, (shipped: Shipped) => Promise<unknown>]>([
      ['nothing', true, async () => undefined],
      ['another end of the same length', false, (shipped) => shipped.close('same length, new')],
      ['bytes within it', false, (shipped) => shipped.write({ offset: 3, text: 'X' })],
      ['bytes behind it', false, (shipped) => shipped.write({ offset: 16, text: 'more' })],
      ['a loss', false, (shipped) => shipped.lose(16, 4)],
    ])('behind it comes %s', async (_, isSealed, goOn) => {
      await using kit = await QueueKit.start()
      await using queue = await kit.open()
      const shipped = new Shipped(kit, queue)
      const data = await shipped.write({ offset: 0, text: 'same length, old' })
      const old = await shipped.close('same length, old')
      const closed = { length: 16, modifiedNs: '1', changedNs: '1' }
      if (hasPoint) await queue.setResumePoint({ ...(await kit.arrival('same length, old')).resume, closed })
      await goOn(shipped)
      // What it closed is sealed anew before it, and says nothing new.
      for (const entry of [data, old]) await queue.sealAnew(entry, never)
      await shipped.store()
      const ends = shipped.told.filter(([, text]) => text.startsWith('close'))
      expect(shipped.told.at(-1)?.[1] === 'close 16').toBe(isSealed)
      expect(ends.length).toBeLessThanOrEqual(1)
    })
  })

  test('where its bytes are sealed anew twice meanwhile, too', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const shipped = new Shipped(kit, queue)
    await shipped.write({ offset: 0, text: 'all of it' })
    const end = await shipped.close('all of it')
    const bytes = (await nextBatch(queue, 1 << 20, 1))?.entries ?? []
    for (const entry of bytes) await queue.sealAnew(entry, never)
    await queue.sealAnew(await shipped.newest(), never)
    await queue.sealAnew(end, never)
    await shipped.store()
    expect(shipped.told).toEqual([
      [0, 'all of it'],
      [9, 'close 9'],
    ])
  })

  test.each([false, true])(
    'and an index that is made anew knows what was sealed anew before it (in another segment: %s)',
    async (isInAnother) => {
      await using kit = await QueueKit.start()
      {
        await using queue = await kit.open()
        const shipped = new Shipped(kit, queue)
        const bytes = await shipped.write({ offset: 0, text: 'all of it' })
        await shipped.close('all of it')
        if (!isInAnother) await queue.sealAnew(bytes, never)
      }
      if (isInAnother) {
        await using queue = await kit.open(fakeWorld(2))
        for (const entry of (await nextBatch(queue, 1 << 20, 1))?.entries ?? [])
          await queue.sealAnew(entry, never)
      }
      await rm(join(kit.state, 'queue'), { recursive: true })
      await using queue = await kit.open(fakeWorld(3))
      const shipped = new Shipped(kit, queue)
      for (const entry of (await nextBatch(queue, 1 << 20, 2))?.entries ?? [])
        await queue.sealAnew(entry, never)
      await shipped.store()
      expect(shipped.told).toEqual([
        [0, 'all of it'],
        [9, 'close 9'],
      ])
    },
  )

  test('a file that is longer went on, where an agent noted that which noted no places', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const shipped = new Shipped(kit, queue)
      await shipped.close('all of it')
      await shipped.write({ offset: 9, text: 'and more' })
    }
    await noteNoPlaces(kit)
    await using queue = await kit.open(fakeWorld(2))
    const shipped = new Shipped(kit, queue)
    for (const entry of (await nextBatch(queue, 1 << 20, 1))?.entries ?? [])
      await queue.sealAnew(entry, never)
    await shipped.store()
    expect(shipped.told).toEqual([[9, 'and more']])
  })
})

/** As the agent before this one noted what was shipped. */
async function noteNoPlaces(kit: QueueKit): Promise<void> {
  await using index = await IndexStore.open(() => realWorld().openIndex(join(kit.state, 'queue')))
  const noted: IndexWrite[] = []
  for await (const [key, value] of allUnder(index, keys.shipped)) {
    const { length, sha256: hash } = JSON.parse(value) as Record<string, unknown>
    noted.push(put(key, JSON.stringify({ length, sha256: hash })))
  }
  await index.write(noted)
}

/** A range of the file in pieces, cut where it is told: letters from `first` on. */
function pieces(first: string, from: number, to: number, cuts: readonly number[]): Write[] {
  const bounds = [...new Set([from, ...cuts.filter((cut) => cut > from && cut < to), to])].toSorted(
    (a, b) => a - b,
  )
  return bounds.slice(1).map((end, index) => {
    const offset = bounds[index] ?? 0
    const letters = Array.from({ length: end - offset }, (__, at) => first.charCodeAt(0) + offset + at)
    return { offset, text: String.fromCharCode(...letters) }
  })
}
