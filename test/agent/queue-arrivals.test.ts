import { describe, expect, test } from 'vitest'
import type { Arrival } from '../../agent/queue/arrival.ts'
import { sha256, type ByteOffset } from '../../protocol/ids.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

const at = (offset: number): ByteOffset => offset as ByteOffset

async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of from) all.push(one)
  return all
}

test('losses and closes are sealed into the chain, and counted', async () => {
  await using kit = await QueueKit.start()
  const { label } = kit
  {
    await using queue = await kit.open()
    const chunk = await kit.arrival('flight\n')
    const common = { label, lane: 'normal', resume: chunk.resume } as const
    const loss: Arrival = { kind: 'loss', ...common, offset: at(7), length: 93, reason: 'truncated' }
    const close: Arrival = { kind: 'close', ...common, length: 7, sha256: sha256(Buffer.from('flight\n')) }
    for (const arrival of [chunk, loss, close]) expect(await queue.append(arrival, never)).toBe(true)
    expect(queue.ledger.lostBytes(label.stream)).toBe(93)
  }
  await using queue = await kit.open()
  expect(queue.ledger.lostBytes(label.stream)).toBe(93)
  const batch = await nextBatch(queue, 1 << 20, 10)
  if (!batch) throw new Error('three records wait')
  expect((await kit.verified(batch)).map(({ manifest }) => manifest)).toMatchObject([
    { kind: 'data', seq: 0, length: 7 },
    { kind: 'loss', seq: 1, offset: 7, length: 93, reason: 'truncated' },
    { kind: 'close', seq: 2, length: 7 },
  ])
})

describe('what was lost of a stream that has ended goes on counting', () => {
  test('when its last record has its receipt', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const end = { label: kit.label, lane: 'normal', resume: null } as const
      await kit.append(queue, 'flight\n')
      await queue.append({ kind: 'loss', ...end, offset: at(7), length: 93, reason: 'deleted' }, never)
      await kit.drain(queue)
      expect(queue.ledger.lostBytes(kit.label.stream)).toBe(0)
      expect(queue.ledger.lostInAllBytes).toBe(93)
    }
    await using queue = await kit.open()
    expect(queue.ledger.lostInAllBytes).toBe(93)
  })

  test('when it ends after all of its records had theirs, together with those before it', async () => {
    await using kit = await QueueKit.start()
    for (const all of [5, 10]) {
      await using queue = await kit.open()
      const { label, resume } = await kit.arrival('flight\n')
      const common = { kind: 'loss', label, lane: 'normal', resume } as const
      await queue.append({ ...common, offset: at(7), length: 5, reason: 'unreadable' }, never)
      await kit.drain(queue)
      await queue.endStream(label.stream)
      expect(queue.ledger.lostInAllBytes).toBe(all)
    }
    await using queue = await kit.open()
    expect(queue.ledger.lostInAllBytes).toBe(10)
  })
})

test('shipped ranges are known in order, the last of an offset counts, and they go with the last record of the stream', async () => {
  await using kit = await QueueKit.start()
  const { label } = kit
  await using queue = await kit.open()
  const first = await kit.arrival('first')
  const second = await kit.arrival('second')
  const again = await kit.arrival('FIRST')
  await Promise.all([first, second].map((arrival) => queue.append(arrival, never)))
  await queue.append({ ...again, offset: first.offset, resume: second.resume }, never)
  expect(await collect(queue.shipped(label.stream))).toEqual([
    { offset: 0, length: 5, sha256: sha256(Buffer.from('FIRST')) },
    { offset: 5, length: 6, sha256: sha256(Buffer.from('second')) },
  ])
  const end = { label, lane: 'normal', resume: null } as const
  await queue.append({ kind: 'loss', ...end, offset: at(11), length: null, reason: 'deleted' }, never)
  expect(queue.resumePoints.has(label.stream)).toBe(false)
  expect(await collect(queue.shipped(label.stream))).toHaveLength(2)
  await kit.drain(queue)
  expect(await collect(queue.shipped(label.stream))).toEqual([])
})
