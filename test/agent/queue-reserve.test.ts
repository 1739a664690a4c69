import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { QueueOptions } from '../../agent/queue/open-queue.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { reserveBytesOf } from '../../agent/queue/reserve.ts'
import type { World } from '../../agent/world.ts'
import { fakeWorld, skipUntil, type DiskStep, type FakeWorld } from '../kit/fake-world.ts'
import { nextBatch, QueueKit, withheld } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

const reserveBytes = 256 * 1024
const plenty = 1 << 30
const minuteMs = 60_000

const reserveOf = (kit: QueueKit): string => join(kit.state, 'reserve')
const isThere = (kit: QueueKit): Promise<boolean> =>
  stat(reserveOf(kit)).then(
    ({ size }) => size === reserveBytes,
    () => false,
  )

/** A queue with a reserve. */
function open(kit: QueueKit, world: World, options: Partial<QueueOptions> = {}): Promise<Queue> {
  return kit.openWith({ reserveBytes, ...options }, world)
}

/** Leaves a queue with these records and its reserve behind. */
async function leave(kit: QueueKit, ...contents: readonly string[]): Promise<void> {
  const world = fakeWorld()
  world.disk.freeBytes = 2 * reserveBytes
  await using queue = await open(kit, world)
  for (const content of contents) await kit.append(queue, content)
}

/** A disk that others have filled: these steps fail until the reserve is given up. */
function fullWorld(steps: readonly DiskStep[], code = 'ENOSPC'): { world: World; fake: FakeWorld } {
  const fake = fakeWorld()
  fake.disk.freeBytes = 0
  for (const step of steps) fake.disk.failing.set(step, code)
  const remove: World['files']['remove'] = async (path) => {
    await fake.files.remove(path)
    if (String(path).endsWith('/reserve')) fake.disk.failing.clear()
  }
  return { fake, world: { ...fake, files: { ...fake.files, remove } } }
}

test.each([
  ['8 KiB', 8 << 10, 8],
  ['100 MiB', 100 << 20, 12.5],
  ['2 GiB', 2 ** 31, 32],
])('a queue of %s has a reserve of its own size', (_, maxBytes, mib) => {
  expect(reserveBytesOf(maxBytes)).toBe(mib * 2 ** 20)
})

test('it takes no more than an eighth of its disk', async () => {
  await using kit = await QueueKit.start()
  const world = fakeWorld()
  const diskBytes = 4 * reserveBytes
  world.disk.freeBytes = diskBytes
  const small = { ...world, files: { ...world.files, diskBytes: async () => diskBytes } }
  {
    await using queue = await open(kit, small)
    await kit.append(queue, 'first\n')
  }
  expect((await stat(reserveOf(kit))).size).toBe(diskBytes / 8)
})

describe('the reserve', () => {
  test('is made with the first record that comes a minute after the start, and kept', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    world.disk.freeBytes = plenty
    {
      await using queue = await open(kit, world)
      world.clock.advance(minuteMs - 1)
      await kit.append(queue, 'early')
      expect(await isThere(kit)).toBe(false)
      world.clock.advance(1)
      await kit.append(queue, 'later')
    }
    const made = await stat(reserveOf(kit), { bigint: true })
    expect(Number(made.size)).toBe(reserveBytes)
    expect(Number(made.blocks) * 512).toBeGreaterThanOrEqual(reserveBytes)
    expect(gzipSync(await readFile(reserveOf(kit))).length).toBeGreaterThan(reserveBytes)
    await using queue = await open(kit, world)
    world.clock.advance(minuteMs)
    await kit.append(queue, 'after')
    expect((await stat(reserveOf(kit), { bigint: true })).mtimeNs).toBe(made.mtimeNs)
  })

  test('is made at once where the disk is nearly full, and never makes it fuller than queue.minFree', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    const minFree = 1 << 20
    world.disk.freeBytes = minFree + reserveBytes
    await using queue = await open(kit, world, { minFree })
    const appending = kit.append(queue, 'waits')
    const [why] = await world.told.told('queueBlocked')
    expect(why).toContain(
      'less than 1280KiB would stay free on the disk (queue.minFree and 256KiB for the index)',
    )
    expect(await isThere(kit)).toBe(false)
    world.disk.freeBytes = minFree + 2 * reserveBytes
    expect(await skipUntil(world, appending)).toBe(true)
    expect(await isThere(kit)).toBe(true)
  })

  test('of which a crash left half is made anew', async () => {
    await using kit = await QueueKit.start()
    await leave(kit, 'one')
    await writeFile(reserveOf(kit), 'half')
    await leave(kit, 'two')
    expect(await isThere(kit)).toBe(true)
  })

  test.each(['create', 'write', 'sync'] satisfies DiskStep[])(
    'that the disk refuses at %s leaves nothing behind, and is tried again after a minute',
    async (step) => {
      await using kit = await QueueKit.start()
      const world = fakeWorld()
      world.disk.freeBytes = 2 * reserveBytes
      await using queue = await open(kit, world)
      world.disk.failing.set(step, 'ENOSPC')
      const appending = kit.append(queue, 'waits')
      await world.told.told('queueBlocked')
      expect(queue.state).toEqual({ is: 'blocked', why: expect.stringContaining('ENOSPC') })
      for (let tries = 0; tries < 30; tries++) await world.clock.skip()
      expect(world.disk.failures).toBe(1)
      await expect(stat(reserveOf(kit))).rejects.toThrow('ENOENT')
      world.disk.failing.clear()
      expect(await skipUntil(world, appending)).toBe(true)
      expect(await isThere(kit)).toBe(true)
    },
  )
})

describe('on a disk that others have filled', () => {
  test.each(['ENOSPC', 'Unknown system error -122', 'IO error: 7.log: No space left on device'])(
    'a queue opens with its reserve, and what waits goes out (%s)',
    async (code) => {
      await using kit = await QueueKit.start()
      await leave(kit, 'one', 'two')
      const { world, fake } = fullWorld(['openIndex'], code)
      await using queue = await open(kit, world)
      expect(fake.told.named('reserveGivenUp')).toEqual([[reserveBytes]])
      expect(await kit.drain(queue)).toEqual(['one', 'two'])
    },
  )

  test('the steps of a start behind the opening of LevelDB have the reserve, too', async () => {
    await using kit = await QueueKit.start()
    await leave(kit, 'one')
    const { world } = fullWorld(['indexWrite'])
    await using queue = await open(kit, world)
    expect(await kit.drain(queue)).toEqual(['one'])
  })

  test('a queue whose reserve is gone does not open, and loses nothing', async () => {
    await using kit = await QueueKit.start()
    await leave(kit, 'one')
    {
      const { world } = fullWorld(['openIndex'])
      await (await open(kit, world))[Symbol.asyncDispose]()
    }
    const { world } = fullWorld(['openIndex'])
    await expect(open(kit, world)).rejects.toMatchObject({ code: 'QUEUE_UNREADABLE' })
    await using queue = await kit.open()
    expect(await kit.drain(queue)).toEqual(['one'])
  })

  test('what waits in a queue that is open is delivered and forgotten', async () => {
    await using kit = await QueueKit.start()
    await leave(kit, 'one', 'two')
    const { world, fake } = fullWorld([])
    await using queue = await open(kit, world)
    fake.disk.failing.set('indexWrite', 'ENOSPC').set('openIndex', 'ENOSPC')
    expect(await kit.drain(queue)).toEqual(['one', 'two'])
  })

  test('another failure of the disk does not cost the reserve', async () => {
    await using kit = await QueueKit.start()
    await leave(kit, 'one')
    const { world } = fullWorld(['openIndex'], 'EIO')
    await expect(open(kit, world)).rejects.toMatchObject({ code: 'QUEUE_UNREADABLE' })
    expect(await isThere(kit)).toBe(true)
  })
})

test('while the reserve is given up no record takes its room, and once there is room for both, both are there', async () => {
  await using kit = await QueueKit.start()
  await leave(kit, 'one', 'two')
  const { world, fake } = fullWorld(['openIndex'])
  await using queue = await open(kit, world)
  const before = await kit.segmentBytes()
  const appending = kit.append(queue, 'three')
  await fake.told.told('queueBlocked')
  fake.disk.freeBytes = reserveBytes
  for (let tries = 0; tries < 5; tries++) await fake.clock.skip()
  expect(queue.state.is).toBe('blocked')
  expect(await kit.segmentBytes()).toBe(before)
  const batch = await nextBatch(queue, 1 << 20, 10)
  await queue.forget(batch?.entries ?? [])
  fake.disk.freeBytes = 2 * reserveBytes
  expect(await skipUntil(fake, appending)).toBe(true)
  expect(await isThere(kit)).toBe(true)
  expect(await kit.drain(queue)).toEqual(['three'])
})

describe('where a full disk evicts', () => {
  const options = { minFree: 1 << 20, whenFull: 'evict' } as const
  const chance = new Seeded(5)

  async function fill(kit: QueueKit, queue: Queue, bytes: number): Promise<void> {
    for (let done = 0; done < bytes; done += 8000) await kit.append(queue, chance.bytes(8000))
  }

  test('the oldest bodies make room for the reserve, once', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    const maxBytes = 8 * reserveBytes
    await using queue = await kit.openWith({ ...options, maxBytes }, world)
    await fill(kit, queue, 4 * reserveBytes)
    await queue[Symbol.asyncDispose]()
    world.disk.freeBytes = options.minFree - 1
    await using again = await open(kit, world, { ...options, maxBytes })
    await fill(kit, again, reserveBytes)
    expect(await isThere(kit)).toBe(true)
    const found = await kit.drain(again)
    expect(found.filter((text) => text === withheld).length * 8000).toBeLessThan(4 * reserveBytes)
    expect(found.at(-1)).not.toBe(withheld)
  })

  test('a queue that is smaller than the reserve keeps its bodies', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    world.disk.freeBytes = plenty
    await using queue = await open(kit, world, options)
    await kit.append(queue, 'small')
    world.disk.freeBytes = options.minFree
    const appending = kit.append(queue, 'waits')
    await world.told.told('queueBlocked')
    expect(queue.ledger.evictedRecords).toBe(0)
    world.disk.freeBytes = plenty
    expect(await skipUntil(world, appending)).toBe(true)
  })
})
