import { describe, expect, test } from 'vitest'
import type { Queue } from '../../agent/queue/queue.ts'
import { limits } from '../../protocol/contract.ts'
import { fakeWorld, skipUntil, type DiskStep } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

const state = (queue: Queue): string => queue.state.is

describe('the bound of the queue', () => {
  const maxBytes = 64 * 1024

  test('is never passed, whatever is appended and forgotten meanwhile, and all comes out once and in order', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world, maxBytes)
    const chance = new Seeded(11)
    const contents = Array.from({ length: 120 }, () => Buffer.from(chance.bytes(1 + chance.below(6000))))
    let most = 0
    let isAppended = false
    const appending = (async () => {
      for (const content of contents) await kit.append(queue, content)
      isAppended = true
    })()
    const taken: Buffer[] = []
    while (taken.length < contents.length) {
      const seen = queue.changed.rings
      most = Math.max(most, await kit.segmentBytes())
      const mayTake = isAppended || state(queue) === 'full'
      const batch = mayTake ? await nextBatch(queue, 1 + chance.below(20_000), 100) : undefined
      if (batch) {
        for (const { content } of await kit.verified(batch)) taken.push(Buffer.from(content ?? []))
        await queue.forget(batch.entries)
      } else {
        await Promise.race([
          queue.changed.waitBeyond(seen, Infinity, world.clock, never),
          world.clock.someoneSleeps(),
          appending,
        ])
      }
    }
    await appending
    expect(Buffer.concat(taken).equals(Buffer.concat(contents))).toBe(true)
    expect(most).toBeLessThanOrEqual(maxBytes)
    expect(most).toBeGreaterThan(maxBytes / 2)
    expect(world.told.named('queueBlocked')).toContainEqual(['the queue is full'])
  })

  test('makes an append wait, says so, and lets it pass once there is room', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world, maxBytes)
    const chance = new Seeded(2)
    const isFull = world.told.told('queueBlocked').then(() => true)
    const append = (): Promise<boolean> => kit.append(queue, chance.bytes(8000)).then(() => false)
    const appends = [append()]
    while (!(await Promise.race([isFull, appends.at(-1)]))) appends.push(append())
    expect(state(queue)).toBe('full')
    expect(appends.length * 8000 + limits.maxRecordOverheadBytes).toBeGreaterThan(maxBytes)
    const batch = await nextBatch(queue, 1 << 20, 3)
    await queue.forget(batch?.entries ?? [])
    expect(await appends.at(-1)).toBe(false)
    await world.told.told('queueOpen')
    expect(state(queue)).toBe('open')
  })

  test('lets a record pass that is larger than itself, alone', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open(fakeWorld(), 16 * 1024)
    const large = Buffer.from(new Seeded(1).bytes(40_000))
    expect(await kit.append(queue, large)).toBe(true)
    expect(await kit.segmentBytes()).toBeGreaterThan(40_000)
    const small = kit.append(queue, 'small')
    const batch = await nextBatch(queue, 1, 10)
    if (!batch) throw new Error('the large one waits')
    await queue.forget(batch.entries)
    expect(await small).toBe(true)
    expect(await kit.drain(queue)).toEqual(['small'])
  })

  test('an append that waits is given up when its signal fires, and the others go on', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world, 16 * 1024)
    await kit.append(queue, new Seeded(1).bytes(14_000))
    const stopping = new AbortController()
    const given = kit.append(queue, new Seeded(2).bytes(9000), stopping.signal)
    await world.told.told('queueBlocked')
    stopping.abort()
    expect(await given).toBe(false)
    expect(queue.ledger.records).toBe(1)
  })

  test('what is closed while appends wait gives them up', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    let waiting: Promise<boolean> | undefined
    {
      await using queue = await kit.open(world, 16 * 1024)
      await kit.append(queue, new Seeded(1).bytes(14_000))
      waiting = kit.append(queue, new Seeded(2).bytes(9000))
      await world.told.told('queueBlocked')
    }
    expect(await waiting).toBe(false)
  })
})

const steps: DiskStep[] = ['create', 'syncDirectory', 'write', 'sync', 'freeBytes', 'indexWrite']

describe('a disk that refuses', () => {
  test.each(
    steps.flatMap((step) => ['ENOSPC', 'EIO', 'EROFS', 'EMFILE'].map((code) => [step, code] as const)),
  )(
    'at %s with %s keeps the chunk waiting and says why; when it takes again, nothing is missing and nothing twice',
    async (step, code) => {
      await using kit = await QueueKit.start()
      const world = fakeWorld()
      {
        await using queue = await kit.openWith({ maxBytes: 1 << 20, minFree: 1 }, world)
        if (step !== 'create' && step !== 'syncDirectory') await kit.append(queue, 'before\n')
        world.clock.advance(1000)
        world.disk.failing.set(step, code)
        const appending = kit.append(queue, 'during\n')
        await world.told.told('queueBlocked')
        expect(queue.state).toEqual({ is: 'blocked', why: expect.stringContaining(code) })
        await world.clock.skip()
        await world.clock.someoneSleeps()
        expect(world.disk.failures).toBeGreaterThanOrEqual(2)
        world.disk.failing.clear()
        expect(await skipUntil(world, appending)).toBe(true)
        expect(state(queue)).toBe('open')
        expect(world.told.named('queueOpen')).toHaveLength(1)
        await kit.append(queue, 'after\n')
      }
      await using queue = await kit.open()
      const all = (await kit.drain(queue)).join('')
      expect(all.replace('before\n', '')).toBe('during\nafter\n')
      expect(queue.aside).toEqual([])
    },
  )

  test.each(['write', 'sync', 'indexWrite'] satisfies DiskStep[])(
    'at %s, though it did it all the same, stores the chunk once',
    async (step) => {
      await using kit = await QueueKit.start()
      const world = fakeWorld()
      {
        await using queue = await kit.open(world)
        await kit.append(queue, 'before\n')
        world.disk.doesIt = true
        world.disk.failing.set(step, 'EIO')
        const appending = kit.append(queue, 'during\n')
        await world.told.told('queueBlocked')
        world.disk.failing.clear()
        expect(await skipUntil(world, appending)).toBe(true)
        await kit.append(queue, 'after\n')
      }
      await using queue = await kit.open()
      expect(await kit.drain(queue)).toEqual(['before\n', 'during\n', 'after\n'])
    },
  )

  test('at the index and at opening it anew is asked again until it takes both', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    world.disk.failing.set('indexWrite', 'ENOSPC').set('openIndex', 'ENOSPC')
    const appending = kit.append(queue, 'during\n')
    await world.told.told('queueBlocked')
    await world.clock.skip()
    await world.clock.skip()
    world.disk.failing.clear()
    expect(await skipUntil(world, appending)).toBe(true)
    expect(await kit.drain(queue)).toEqual(['during\n'])
  })

  test.each(steps)('at %s lets go of an append whose signal fires', async (step) => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    {
      await using queue = await kit.openWith({ minFree: 1 }, world)
      if (step !== 'create' && step !== 'syncDirectory') await kit.append(queue, 'before\n')
      world.clock.advance(1000)
      const stopping = new AbortController()
      world.disk.failing.set(step, 'ENOSPC')
      const appending = kit.append(queue, 'during\n', stopping.signal)
      await world.told.told('queueBlocked')
      stopping.abort()
      await Promise.race([appending, world.clock.skip()])
      expect(await appending).toBe(false)
      world.disk.failing.clear()
    }
    await using queue = await kit.open()
    // What reached a segment may be taken up again; then the file is read on behind it.
    const [{ position = 0 } = {}] = queue.resumePoints.values()
    expect((await kit.drain(queue)).join('')).toHaveLength(position)
  })

  test('for long leaves no more than two segments behind', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    world.disk.failing.set('write', 'ENOSPC')
    const appending = kit.append(queue, 'during\n')
    for (let tries = 0; tries < 10; tries++) await world.clock.skip()
    expect((await kit.segments()).length).toBeLessThanOrEqual(2)
    world.disk.failing.clear()
    expect(await skipUntil(world, appending)).toBe(true)
  })

  test('at removing a segment that is done keeps taking chunks, and the segment goes once it can', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world, 32 * 1024)
    const chance = new Seeded(4)
    for (let count = 0; count < 3; count++) await kit.append(queue, chance.bytes(7000))
    world.disk.failing.set('remove', 'EROFS')
    const batch = await nextBatch(queue, 1 << 20, 10)
    await queue.forget(batch?.entries ?? []).catch(() => undefined)
    const appending = kit.append(queue, chance.bytes(14_000))
    await world.told.told('queueBlocked')
    world.disk.failing.clear()
    expect(await skipUntil(world, appending)).toBe(true)
    expect(await kit.segmentBytes()).toBeLessThan(32 * 1024)
  })

  test('at forgetting gives the records out again, and once it takes, they are gone for good', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    await kit.append(queue, 'one\n')
    const batch = await nextBatch(queue, 1 << 20, 10)
    world.disk.failing.set('indexWrite', 'ENOSPC')
    await expect(queue.forget(batch?.entries ?? [])).rejects.toThrow('ENOSPC')
    world.disk.failing.clear()
    expect(queue.ledger.records).toBe(1)
    expect(await kit.drain(queue)).toEqual(['one\n'])
    expect(queue.ledger.records).toBe(0)
  })
})

test.each(['create', 'write', 'sync', 'rename', 'syncDirectory', 'remove'] satisfies DiskStep[])(
  'a full queue of what nobody needs waits while %s of the note that replaces it fails, and then takes chunks',
  async (step) => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world, 16 * 1024)
    const chance = new Seeded(4)
    await kit.append(queue, chance.bytes(9000))
    const batch = await nextBatch(queue, 1 << 20, 10)
    await queue.forget(batch?.entries ?? [])
    world.disk.failing.set(step, 'ENOSPC')
    const content = Buffer.from(chance.bytes(9000))
    const appending = kit.append(queue, content)
    await world.told.told('queueBlocked')
    world.disk.failing.clear()
    expect(await skipUntil(world, appending)).toBe(true)
    expect(await kit.drain(queue)).toEqual([content.toString()])
  },
)
