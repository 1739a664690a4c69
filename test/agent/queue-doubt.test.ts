import { describe, expect, test } from 'vitest'
import type { Queue } from '../../agent/queue/queue.ts'
import { fakeWorld, type BadDisk } from '../kit/fake-world.ts'
import { nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { fill, texts } from '../kit/ten-records.ts'

const all = texts.join('')
const lengthOf = (some: readonly string[]): number => some.join('').length

/** Forgets the first records with a write that is told as failed, but happens. */
async function forgetThoughItFails(queue: Queue, disk: BadDisk, most: number): Promise<void> {
  disk.doesIt = true
  disk.failing.set('indexWrite', 'EIO')
  const batch = await nextBatch(queue, 1 << 20, most)
  await expect(queue.forget(batch?.entries ?? [])).rejects.toThrow('EIO')
  disk.failing.clear()
}

describe('a write that failed, though it happened,', () => {
  test('to forget records counts them out once', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    {
      await using queue = await kit.open(world)
      await fill(kit, queue)
      await forgetThoughItFails(queue, world.disk, 4)
      expect((await nextBatch(queue, 1 << 20, 1))?.entries[0]?.seq).toBe(4)
      expect(queue.ledger.records).toBe(6)
      expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(lengthOf(texts.slice(0, 4)))
      expect(await kit.drain(queue)).toEqual(texts.slice(4))
      expect(queue.ledger.records).toBe(0)
      expect(queue.ledger.bytes).toBe(0)
      expect(queue.ledger.queuedBytes(kit.label.stream)).toBe(0)
      expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(all.length)
      expect(world.told.named('forgotten')).toEqual([[4], [6]])
      expect(await queue.holdsBefore({ epoch: queue.head.epoch, seq: queue.head.next })).toBe(false)
    }
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(all.length)
    // The segment that nobody needs any more is gone.
    expect(await kit.segmentBytes()).toBe(0)
  })

  test('to forget the last records is seen by whoever asks what is held', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    await fill(kit, queue)
    await forgetThoughItFails(queue, world.disk, 100)
    expect(await queue.holdsBefore({ epoch: queue.head.epoch, seq: queue.head.next })).toBe(false)
    expect(queue.ledger.records).toBe(0)
  })

  test('to set a record aside names it, and keeps it, once', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    {
      await using queue = await kit.open(world)
      await fill(kit, queue)
      const [first] = (await nextBatch(queue, 1 << 20, 1))?.entries ?? []
      if (!first) throw new Error('there are ten')
      world.disk.doesIt = true
      world.disk.failing.set('indexWrite', 'EIO')
      await expect(queue.setAside([{ ...first, why: 'refused' }])).rejects.toThrow('EIO')
      world.disk.failing.clear()
      expect(await kit.drain(queue)).toEqual(texts.slice(1))
      expect(queue.aside.map(({ seq, why }) => [Number(seq), why])).toEqual([[0, 'refused']])
      expect(world.told.named('recordSetAside')).toHaveLength(1)
      expect(await queue.holdsBefore({ epoch: queue.head.epoch, seq: queue.head.next })).toBe(true)
      expect(queue.ledger.records).toBe(1)
    }
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.aside).toHaveLength(1)
    expect(queue.ledger.records).toBe(1)
  })
})
