import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Batch } from '../../agent/queue/batch.ts'
import { lanes, type Lane } from '../../agent/queue/lane.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

const labels = { high: labelOf('/log/high'), normal: labelOf('/log/normal'), low: labelOf('/log/low') }

async function append(kit: QueueKit, queue: Queue, lane: Lane, text: string): Promise<void> {
  await queue.append({ ...(await kit.arrival(text, labels[lane])), lane }, never)
}

async function take(queue: Queue, maxRecords: number, lane?: Lane): Promise<Batch> {
  const batch = await queue.take(1 << 20, maxRecords, lane)
  if (!batch) throw new Error('nothing waits')
  return batch
}

async function textsOf(kit: QueueKit, batch: Batch): Promise<string[]> {
  return (await kit.verified(batch)).map(({ content }) => Buffer.from(content ?? []).toString())
}

const mixed: readonly (readonly [Lane, string])[] = [
  ['low', 'low 1'],
  ['normal', 'normal 1'],
  ['high', 'high 1'],
  ['low', 'low 2'],
  ['normal', 'normal 2'],
  ['high', 'high 2'],
]
const inOrder = ['high 1', 'high 2', 'normal 1', 'normal 2', 'low 1', 'low 2']

describe('lanes', () => {
  test('the highest goes first, and of each the oldest; all of them are one chain', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      for (const [lane, text] of mixed) await append(kit, queue, lane, text)
      expect((await nextBatch(queue, 1 << 20, 10))?.lane).toBe('high')
      expect((await readdir(kit.segmentFolder)).toSorted()).toEqual([
        '00000001.low.logb',
        '00000002.logb',
        '00000003.high.logb',
      ])
    }
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.head.next).toBe(mixed.length)
    expect(await kit.drain(queue)).toEqual(inOrder)
    expect(await queue.take(1 << 20, 10)).toBeUndefined()
  })

  test('what comes while a lower lane waits goes before it', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (let count = 0; count < 10; count++) await append(kit, queue, 'low', `low ${count}`)
    const low = await take(queue, 3)
    await append(kit, queue, 'high', 'urgent')
    const urgent = await take(queue, 3)
    expect([low.lane, urgent.lane]).toEqual(['low', 'high'])
    expect(await textsOf(kit, urgent)).toEqual(['urgent'])
    expect(await textsOf(kit, await take(queue, 2, 'low'))).toEqual(['low 3', 'low 4'])
  })

  test('that have nothing to give are looked up again only once something came, or was given back', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    const isLookedUp = async (lane: Lane): Promise<boolean> => {
      world.disk.failing.set('indexRead', 'EIO')
      const isRead = await queue.take(1, 1, lane).then(
        () => false,
        () => true,
      )
      world.disk.failing.clear()
      return isRead
    }
    for (const lane of lanes) expect(await queue.take(1, 1, lane)).toBeUndefined()
    await append(kit, queue, 'low', 'low 1')
    expect([await isLookedUp('low'), await isLookedUp('high')]).toEqual([true, false])
    const first = await take(queue, 1, 'low')
    expect(await queue.take(1, 1, 'low')).toBeUndefined()
    expect(await isLookedUp('low')).toBe(false)
    queue.giveBack(first)
    expect(await isLookedUp('low')).toBe(true)
    const again = await take(queue, 1, 'low')
    expect(await queue.take(1, 1, 'low')).toBeUndefined()
    await queue.forget(again.entries)
    queue.giveBack(again)
    expect(await isLookedUp('low')).toBe(false)
  })

  test('are known again when LevelDB is lost', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      for (const [lane, text] of mixed) await append(kit, queue, lane, text)
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    await using queue = await kit.open(fakeWorld(2))
    expect(await kit.drain(queue)).toEqual(inOrder)
  })

  test('receipts that come in another order than the chain leave what waits, and nothing comes back', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      for (const [lane, text] of mixed) await append(kit, queue, lane, text)
      const high = await take(queue, 10)
      const normal = await take(queue, 1)
      await queue.forget(high.entries)
      await queue.forget(normal.entries)
    }
    await using queue = await kit.open(fakeWorld(2))
    expect(await kit.drain(queue)).toEqual(['normal 2', 'low 1', 'low 2'])
  })
})

describe('several batches', () => {
  const texts = Array.from({ length: 20 }, (_, index) => `record ${index}`)

  async function filled(kit: QueueKit): Promise<Queue> {
    const queue = await kit.open()
    for (const text of texts) await kit.append(queue, text)
    return queue
  }

  test('are out at once, each with its own records and its own bytes', async () => {
    await using kit = await QueueKit.start()
    await using queue = await filled(kit)
    const batches = [await take(queue, 5), await take(queue, 7), await take(queue, 100)]
    expect(await queue.take(1 << 20, 100)).toBeUndefined()
    const taken: string[] = []
    for (const batch of batches) taken.push(...(await textsOf(kit, batch)))
    expect(taken).toEqual(texts)
  })

  test('asked for at the same moment never share a record', async () => {
    await using kit = await QueueKit.start()
    await using queue = await filled(kit)
    const batches = await Promise.all([take(queue, 6), take(queue, 6), take(queue, 6)])
    const places = batches.flatMap(({ entries }) => entries.map(({ seq }) => Number(seq)))
    expect(places).toEqual(texts.keys().take(18).toArray())
  })

  test('that are given back come out again, oldest first, but for what was forgotten or set aside', async () => {
    await using kit = await QueueKit.start()
    await using queue = await filled(kit)
    const [first, second, third] = [await take(queue, 5), await take(queue, 5), await take(queue, 5)]
    await queue.forget(second.entries.slice(1, 3))
    const [refused] = first.entries
    if (!refused) throw new Error('there are five')
    await queue.setAside([{ ...refused, why: 'refused' }])
    queue.giveBack(second)
    queue.giveBack(first)
    // Once more does no harm to those who have its records now.
    const again = await take(queue, 100)
    queue.giveBack(first)
    const expected = texts.filter((_, index) => ![0, 6, 7].includes(index) && (index < 10 || index >= 15))
    expect(await textsOf(kit, again)).toEqual(expected)
    expect(await queue.take(1 << 20, 100)).toBeUndefined()
    queue.giveBack(third)
    expect(await textsOf(kit, await take(queue, 100))).toEqual(texts.slice(10, 15))
  })

  test('that are out are still held, for whoever asks', async () => {
    await using kit = await QueueKit.start()
    await using queue = await filled(kit)
    const { epoch, next } = queue.head
    const batches = [await take(queue, 10), await take(queue, 10)]
    expect(await queue.holdsBefore({ epoch, seq: next })).toBe(true)
    await queue.forget(batches[1]?.entries ?? [])
    expect(await queue.holdsBefore({ epoch, seq: next })).toBe(true)
    await queue.forget(batches[0]?.entries ?? [])
    expect(await queue.holdsBefore({ epoch, seq: next })).toBe(false)
  })

  test('whose receipt came although its write is not known to have happened are counted out once', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    for (const text of texts) await kit.append(queue, text)
    const [first, second] = [await take(queue, 5), await take(queue, 5)]
    world.disk.doesIt = true
    world.disk.failing.set('indexWrite', 'EIO')
    await expect(queue.forget(first.entries)).rejects.toThrow('EIO')
    world.disk.failing.clear()
    queue.giveBack(first)
    await queue.forget(second.entries)
    expect(queue.ledger.records).toBe(10)
    expect(await textsOf(kit, await take(queue, 100))).toEqual(texts.slice(10))
  })
})
