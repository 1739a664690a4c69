import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ByteOffset } from '../../protocol/ids.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

test.each([
  ['that begins its segment', false],
  ['whose segment is older than that of the record given up', true],
])(
  'an urgent record %s takes the place of one whose sync failed, with and without an index',
  async (_, isOlder) => {
    await using kit = await QueueKit.start()
    {
      const world = fakeWorld()
      await using queue = await kit.open(world)
      const { resume } = await kit.arrival('')
      await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
      if (isOlder) await queue.append({ ...(await kit.arrival('high 0')), lane: 'high' }, never)
      await kit.append(queue, 'normal 0')
      world.disk.failing.set('sync', 'EIO')
      const given = queue.append(await kit.arrival('normal 1'), never)
      await world.told.told('queueBlocked')
      const urgent = queue.append({ ...(await kit.arrival('high 1')), lane: 'high' }, never)
      world.disk.failing.clear()
      await world.clock.skip()
      await Promise.all([given, urgent])
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    await using queue = await kit.open(fakeWorld(2))
    const found: string[] = []
    for (let batch = await nextBatch(queue, 1 << 20, 9); batch; batch = await nextBatch(queue, 1 << 20, 9)) {
      for (const { manifest, content } of await kit.verified(batch))
        found.push(`${manifest.seq} ${Buffer.from(content ?? []).toString()}`)
      await queue.forget(batch.entries)
    }
    const [first, second, third] = isOlder ? [1, 2, 3] : [0, 1, 2]
    const older = isOlder ? ['0 high 0'] : []
    expect(found).toEqual([...older, `${second} high 1`, `${first} normal 0`, `${third} normal 1`])
  },
)

test('nothing is sealed any more where nobody knows whether the last records are in the index', async () => {
  await using kit = await QueueKit.start()
  const world = fakeWorld()
  const stop = new AbortController()
  let next = 0
  {
    await using queue = await kit.open(world)
    await kit.append(queue, 'one\n')
    world.disk.failing.set('indexWrite', 'EIO')
    const given = queue.append(await kit.arrival('two\n'), stop.signal)
    await world.told.told('queueBlocked')
    stop.abort()
    world.disk.failing.clear()
    world.disk.failing.set('indexWrite', 'EIO')
    await world.clock.skip()
    expect(await given).toBe(false)
    world.disk.failing.clear()
    expect(await kit.append(queue, 'three\n')).toBe(false)
    next = queue.head.next
  }
  expect(next).toBe(1)
  await using queue = await kit.open(fakeWorld(2))
  expect(await kit.drain(queue)).toEqual(['one\n', 'two\n'])
})
