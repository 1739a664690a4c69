import { expect, test } from 'vitest'
import type { Batch } from '../../agent/queue/batch.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { nextBatch, QueueKit } from '../kit/queue-kit.ts'

const seqsOf = (batch: Batch | undefined): number[] => batch?.entries.map(({ seq }) => Number(seq)) ?? []

async function filled(kit: QueueKit, records: number): Promise<Queue> {
  const queue = await kit.open()
  for (let count = 0; count < records; count++) await kit.append(queue, `${count}\n`)
  return queue
}

/** Takes the next record alone, and passes over it. */
async function passNext(queue: Queue, untried: number): Promise<number[]> {
  const batch = await queue.take(1, 1)
  if (!batch) throw new Error('nothing is handed out')
  await queue.passOver(batch.entries, untried)
  queue.giveBack(batch)
  return seqsOf(batch)
}

/** Takes the next that was passed over, and gives it back at once. */
async function again(queue: Queue, maxRecords = 1, isInTurn = false): Promise<number[]> {
  const batch = await queue.takePassedOver(1 << 20, maxRecords, isInTurn)
  if (batch) queue.giveBack(batch)
  return seqsOf(batch)
}

test('what is passed over is not handed out in its turn, and what is behind it is', async () => {
  await using kit = await QueueKit.start()
  await using queue = await filled(kit, 6)
  expect([await passNext(queue, 0), await passNext(queue, 0)]).toEqual([[0], [1]])
  const rest = await nextBatch(queue, 1 << 20, 100)
  expect(seqsOf(rest)).toEqual([2, 3, 4, 5])
})

test('it can be taken again one by one from the first; in turns it begins anew behind the last', async () => {
  await using kit = await QueueKit.start()
  await using queue = await filled(kit, 4)
  for (let count = 0; count < 3; count++) await passNext(queue, 0)
  expect([await again(queue), await again(queue, 5), await again(queue)]).toEqual([[0], [1, 2], []])
  expect(await again(queue, 1, true)).toEqual([0])
  queue.rewindPassedOver()
  expect(await again(queue)).toEqual([0])
})

test('with it pass those behind it, as many as are named, but never the newest', async () => {
  await using kit = await QueueKit.start()
  await using queue = await filled(kit, 6)
  expect(await passNext(queue, 2)).toEqual([0])
  expect(await passNext(queue, 100)).toEqual([3])
  expect(seqsOf(await queue.take(1, 1))).toEqual([5])
  expect(await again(queue, 100)).toEqual([0, 1, 2, 3, 4])
})

test('those that passed untried the last time can be taken back into their turn', async () => {
  await using kit = await QueueKit.start()
  await using queue = await filled(kit, 8)
  await passNext(queue, 2)
  await passNext(queue, 2)
  queue.takeBackUntried()
  expect(seqsOf(await queue.take(1 << 20, 100))).toEqual([4, 5, 6, 7])
  expect(await again(queue, 100)).toEqual([0, 1, 2, 3])
})

test('what is handed out meanwhile, or was given back, is never passed over with another', async () => {
  await using kit = await QueueKit.start()
  await using queue = await filled(kit, 8)
  const [first, second] = [await queue.take(1, 1), await queue.take(1, 1)]
  await passNext(queue, 1)
  if (!first || !second) throw new Error('nothing is handed out')
  await queue.passOver(first.entries, 5)
  for (const batch of [first, second]) queue.giveBack(batch)
  expect(seqsOf(await queue.take(1 << 20, 100))).toEqual([1, 2, 3, 4, 5, 6, 7])
})

test('a record that was passed over is still there after a restart, whatever went behind it', async () => {
  await using kit = await QueueKit.start()
  {
    await using queue = await filled(kit, 5)
    await passNext(queue, 1)
    const behind = await queue.take(1 << 20, 100)
    await queue.forget(behind?.entries ?? [])
  }
  await using queue = await kit.open()
  expect(seqsOf(await queue.take(1 << 20, 100))).toEqual([0, 1])
})

test('what is passed over counts as being here: nothing behind it is the oldest', async () => {
  await using kit = await QueueKit.start()
  await using queue = await filled(kit, 5)
  await passNext(queue, 1)
  const behind = await queue.take(1 << 20, 100)
  const [oldest] = behind?.entries ?? []
  await queue.forget(behind?.entries ?? [])
  if (!oldest) throw new Error('nothing is handed out')
  expect(await queue.holdsBefore(oldest)).toBe(true)
})

test('when all of them are gone nothing is passed over any more', async () => {
  await using kit = await QueueKit.start()
  await using queue = await filled(kit, 3)
  await passNext(queue, 1)
  const both = await queue.takePassedOver(1 << 20, 10, true)
  await queue.forget(both?.entries ?? [])
  expect(await again(queue, 10, true)).toEqual([])
  expect(await passNext(queue, 0)).toEqual([2])
})
