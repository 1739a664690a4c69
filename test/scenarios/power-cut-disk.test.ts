import { expect, test } from 'vitest'
import { put } from '../../agent/queue/index-store.ts'
import type { World } from '../../agent/world.ts'
import { PowerCutDisk } from '../kit/power-cut-disk.ts'
import { PowerCutWorld } from '../kit/power-cut-world.ts'
import { Seeded } from '../kit/seeded.ts'

const cuts = 200

/** What 200 cuts after this work leave, each different outcome once. */
async function outcomes(
  work: (world: World) => Promise<void>,
  look: (world: World) => Promise<string>,
): Promise<string[]> {
  const seen = new Set<string>()
  for (let seed = 0; seed < cuts; seed++) {
    const chance = new Seeded(seed)
    const disk = new PowerCutDisk()
    await life(disk, chance, work)
    disk.cut(chance)
    await life(disk, chance, async (world) => void seen.add(await look(world)))
  }
  return [...seen].toSorted()
}

async function life(
  disk: PowerCutDisk,
  chance: Seeded,
  work: (world: World) => Promise<void>,
): Promise<void> {
  const world = new PowerCutWorld(disk, chance, Infinity)
  const over = new AbortController()
  const done = work(world).finally(() => over.abort())
  while (!over.signal.aborted) await world.turn()
  await done
}

async function read({ files }: World, path: string): Promise<string> {
  const bytes = await files.readWhole(path)
  return bytes === undefined ? 'no file' : Buffer.from(bytes).toString().replaceAll('\0', '0')
}

const page = (letter: string): Buffer => Buffer.alloc(512, letter)

test('a file that was synced, under a name that was synced, survives every cut', async () => {
  const left = await outcomes(
    async ({ files }) => {
      await using file = await files.create('/a')
      await file.write([Buffer.from('synced')], 0)
      await file.sync()
      await files.syncDirectory('/')
    },
    (world) => read(world, '/a'),
  )
  expect(left).toEqual(['synced'])
})

test('a file that was not synced may be empty, cut short, or have holes', async () => {
  const left = await outcomes(
    async ({ files }) => {
      await using file = await files.create('/a')
      await files.syncDirectory('/')
      await file.write([page('a'), page('b')], 0)
    },
    (world) => read(world, '/a'),
  )
  const [a, b, hole] = [page('a'), page('b'), page('0')].map(String)
  expect(left).toEqual(expect.arrayContaining(['', `${a}${b}`, `${a}${hole}`, `${hole}${b}`]))
  expect(left.some((text) => text.length > 0 && text.length < 512)).toBe(true)
})

test('a name that was not synced may be there or not, and one that was removed may be back', async () => {
  const left = await outcomes(
    async ({ files }) => {
      await (await files.create('/old'))[Symbol.asyncDispose]()
      await files.syncDirectory('/')
      await files.remove('/old')
      await (await files.create('/new'))[Symbol.asyncDispose]()
    },
    async (world) => `${await read(world, '/old')}, ${await read(world, '/new')}`,
  )
  expect(left).toEqual([', ', ', no file', 'no file, ', 'no file, no file'])
})

test('a rename that was not synced is done or not, and never half', async () => {
  const left = await outcomes(
    async ({ files }) => {
      for (const name of ['a', 'b']) {
        await using file = await files.create(`/${name}`)
        await file.write([Buffer.from(name)], 0)
        await file.sync()
      }
      await files.syncDirectory('/')
      await files.rename('/a', '/b')
    },
    async (world) => `${await read(world, '/a')}, ${await read(world, '/b')}`,
  )
  expect(left).toEqual(['a, b', 'no file, a'])
})

test('of batches without sync the last may be lost, and one with sync keeps all before it', async () => {
  const left = await outcomes(
    async (world) => {
      const index = await world.openIndex('/queue')
      await world.files.syncDirectory('/')
      await index.batch([put('a', '')])
      await index.batch([put('b', '')], { sync: true })
      await index.batch([put('c', ''), put('d', '')])
    },
    async (world) => {
      const index = await world.openIndex('/queue')
      const entries = await index.iterator({ gte: 'a', lt: 'z', limit: 9 }).all()
      return entries.map(([key]) => key).join('')
    },
  )
  expect(left).toEqual(['ab', 'abcd'])
})

test('from the operation of the cut on nothing is answered', async () => {
  const world = new PowerCutWorld(new PowerCutDisk(), new Seeded(1), 2)
  const answered: string[] = []
  const work = async (): Promise<void> => {
    await world.files.makeDirectory('/a')
    answered.push('first')
    await world.files.makeDirectory('/b')
    answered.push('second')
  }
  void work()
  for (let turns = 0; turns < 10; turns++) await world.turn()
  expect(answered).toEqual(['first'])
  expect(world.isCut).toBe(true)
})
