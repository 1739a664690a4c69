import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { closedKey, type IndexEntry } from '../../agent/queue/index-entry.ts'
import { IndexStore, put } from '../../agent/queue/index-store.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { realWorld } from '../../agent/world.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { Shipped } from '../kit/shipped.ts'

/** Two parts of a file and its end, in its stream, which goes on. */
async function closedFile(kit: QueueKit, queue: Queue): Promise<{ shipped: Shipped; entries: IndexEntry[] }> {
  await queue.setResumePoint((await kit.arrival('')).resume)
  const shipped = new Shipped(kit, queue)
  const first = await shipped.write({ offset: 0, text: 'one ' })
  const second = await shipped.write({ offset: 4, text: 'two' })
  return { shipped, entries: [first, second, await shipped.close('one two')] }
}

async function waiting(queue: Queue): Promise<readonly IndexEntry[]> {
  return (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
}

const isAnyOf = (some: readonly IndexEntry[]): ((entry: IndexEntry) => boolean) => {
  const places = new Set(some.map(({ epoch, seq }) => `${epoch} ${seq}`))
  return ({ epoch, seq }) => places.has(`${epoch} ${seq}`)
}

const ends = (shipped: Shipped): number => shipped.told.filter(([, text]) => text === 'close 7').length

test('the end of a file that has its receipt comes again behind what is sealed anew of the file', async () => {
  await using kit = await QueueKit.start()
  await using queue = await kit.open()
  const { shipped, entries } = await closedFile(kit, queue)
  await shipped.store(isAnyOf(entries.slice(1)))
  for (const entry of entries.slice(0, 1)) await queue.sealAnew(entry, never)
  await shipped.store()
  expect(shipped.told.slice(-2)).toEqual([
    [0, 'one '],
    [7, 'close 7'],
  ])
  expect(await waiting(queue)).toEqual([])
})

test('the end of a file that waits comes again when it has its receipt, once', async () => {
  await using kit = await QueueKit.start()
  await using queue = await kit.open()
  const { shipped, entries } = await closedFile(kit, queue)
  for (const entry of entries.slice(0, 1)) await queue.sealAnew(entry, never)
  await shipped.store()
  await shipped.store()
  expect(shipped.told.at(-1)).toEqual([7, 'close 7'])
  expect(ends(shipped)).toBe(2)
  expect(await waiting(queue)).toEqual([])
})

test.each(Array.from({ length: 24 }, (_, turns) => turns))(
  'the end comes behind what is sealed anew, though its receipt comes %i turns later, while that is under way',
  async (turns) => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const { shipped, entries } = await closedFile(kit, queue)
    const sealing = Promise.all(entries.slice(0, 1).map((entry) => queue.sealAnew(entry, never)))
    for (let turn = 0; turn < turns; turn++) await setImmediate()
    await shipped.store(isAnyOf(entries.slice(1)))
    expect(await sealing).toEqual([true])
    await shipped.store()
    await shipped.store()
    expect(shipped.told.at(-1)).toEqual([7, 'close 7'])
    expect(await waiting(queue)).toEqual([])
  },
)

test('the end that came again comes once more behind what is sealed anew later, in another life of the agent too', async () => {
  await using kit = await QueueKit.start()
  {
    await using queue = await kit.open()
    const { shipped, entries } = await closedFile(kit, queue)
    await shipped.store(isAnyOf(entries.slice(2)))
    for (const entry of entries.slice(0, 2)) await queue.sealAnew(entry, never)
  }
  await using queue = await kit.open(fakeWorld(2))
  const shipped = new Shipped(kit, queue)
  await shipped.store()
  await shipped.store()
  expect(shipped.told.toSorted(([one], [other]) => one - other)).toEqual([
    [0, 'one '],
    [4, 'two'],
    [7, 'close 7'],
    [7, 'close 7'],
  ])
  expect(shipped.told.at(-1)).toEqual([7, 'close 7'])
})

test.each(['bytes', 'an end'])('no end comes again where the file went on with %s', async (what) => {
  await using kit = await QueueKit.start()
  await using queue = await kit.open()
  const { shipped, entries } = await closedFile(kit, queue)
  if (what === 'bytes') await shipped.write({ offset: 7, text: ' and three' })
  else await shipped.close('ONE TWO')
  for (const entry of entries.slice(0, 1)) await queue.sealAnew(entry, never)
  const after = await waiting(queue)
  await shipped.store()
  await shipped.store()
  expect(shipped.told).toHaveLength(after.length + (what === 'bytes' ? 0 : 1))
  expect(shipped.told.at(-1)?.[1]).toBe(what === 'bytes' ? 'one ' : 'close 7')
})

test('a kill between the end that comes again and the receipt for the first has it come no third time', async () => {
  await using kit = await QueueKit.start()
  const copy = join(await kit.folder('copies'), 'state')
  {
    const world = fakeWorld()
    await using queue = await kit.open(world)
    const { shipped, entries } = await closedFile(kit, queue)
    for (const entry of entries.slice(0, 1)) await queue.sealAnew(entry, never)
    const written = world.told.named('indexWritten').length
    void world.told.told('indexWritten', written + 1).then(() => cpSync(kit.state, copy, { recursive: true }))
    await shipped.store()
    expect(existsSync(copy)).toBe(true)
  }
  await using queue = await kit.open(fakeWorld(2), 1 << 30, copy)
  const shipped = new Shipped(kit, queue)
  expect(await waiting(queue)).toHaveLength(4)
  await shipped.store()
  expect(ends(shipped)).toBe(2)
  expect(shipped.told.at(-1)).toEqual([7, 'close 7'])
  expect(await waiting(queue)).toEqual([])
})

test('an end of which an agent before this one noted only the place is left as it is', async () => {
  await using kit = await QueueKit.start()
  {
    await using queue = await kit.open()
    const { shipped, entries } = await closedFile(kit, queue)
    await shipped.store(isAnyOf(entries.slice(2)))
  }
  {
    await using index = await IndexStore.open(() => realWorld().openIndex(join(kit.state, 'queue')))
    const key = closedKey(kit.label.stream)
    const { at } = JSON.parse((await index.get(key)) ?? '') as Record<string, unknown>
    await index.write([put(key, JSON.stringify({ at }))])
  }
  await using queue = await kit.open(fakeWorld(2))
  const shipped = new Shipped(kit, queue)
  for (const entry of await waiting(queue)) await queue.sealAnew(entry, never)
  await shipped.store()
  expect(shipped.told).toEqual([
    [0, 'one '],
    [4, 'two'],
  ])
})
