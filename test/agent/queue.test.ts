import { appendFile, cp, readFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Fault } from '../../protocol/fault.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

const texts = ['one\n', 'two\n', 'three', 'four\n', 'five\n']

describe('what was appended', () => {
  test('comes out in the order of the chain, as it was, and verifies', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of texts) expect(await kit.append(queue, text)).toBe(true)
    expect(await kit.drain(queue, 1)).toEqual(texts)
    expect(await nextBatch(queue, 1 << 20, 10)).toBeUndefined()
  })

  test('at the same moment comes out in the order of the calls', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const arrivals = await Promise.all(texts.map((text) => kit.arrival(text)))
    const signal = new AbortController().signal
    expect(await Promise.all(arrivals.map((arrival) => queue.append(arrival, signal)))).not.toContain(false)
    expect(await kit.drain(queue)).toEqual(texts)
  })

  test('comes in batches within both limits, and at least one record', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of texts) await kit.append(queue, text)
    expect((await nextBatch(queue, 1, 10))?.entries).toHaveLength(1)
    expect((await nextBatch(queue, 1 << 20, 2))?.entries).toHaveLength(2)
    const all = await nextBatch(queue, 1 << 20, 10)
    const [first, second] = all?.entries ?? []
    if (!first?.extent || !second?.extent) throw new Error('there are five')
    const two = first.extent.length + second.extent.length
    expect((await nextBatch(queue, two, 10))?.entries).toHaveLength(2)
    expect((await nextBatch(queue, two - 1, 10))?.entries).toHaveLength(1)
  })

  test('is counted out once, though a flush looks while it is being forgotten', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of texts) await kit.append(queue, text)
    const entries = (await nextBatch(queue, 1 << 20, 2))?.entries ?? []
    const { epoch, next } = queue.head
    const forgotten = new AbortController()
    const forgetting = queue.forget(entries).then(() => forgotten.abort())
    while (!forgotten.signal.aborted) await queue.holdsBefore({ epoch, seq: next })
    await forgetting
    expect(queue.ledger.records).toBe(texts.length - 2)
    expect(await kit.drain(queue)).toEqual(texts.slice(2))
  })

  test('is forgotten record by record, and only what was named', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of texts) await kit.append(queue, text)
    const entries = (await nextBatch(queue, 1 << 20, 10))?.entries ?? []
    await queue.forget(entries.filter((_, index) => index === 1 || index === 4))
    expect(queue.ledger.records).toBe(3)
    expect(await kit.drain(queue)).toEqual(['one\n', 'three', 'four\n'])
    expect(queue.ledger.records).toBe(0)
    expect(queue.ledger.bytes).toBe(0)
  })

  test('counts by stream, and what has a receipt goes on counting as received', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const other = labelOf('/var/log/other.log')
    await kit.append(queue, 'first')
    await queue.append(await kit.arrival('second', other), new AbortController().signal)
    expect(queue.ledger.queuedBytes(kit.label.stream)).toBe(5)
    expect(queue.ledger.queuedBytes(other.stream)).toBe(6)
    await kit.drain(queue)
    expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(5)
    expect(queue.ledger.receiptedBytes(other.stream)).toBe(6)
  })
})

describe('what was in the queue is there again', () => {
  test('after it was closed: records, resume points, counts and the chain, which goes on', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      for (const text of texts) await kit.append(queue, text)
      await queue.forget((await nextBatch(queue, 1, 1))?.entries ?? [])
    }
    await using queue = await kit.open()
    expect(queue.head.next).toBe(5)
    expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(texts.join('').length)
    expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(4)
    expect(queue.ledger.records).toBe(4)
    await kit.append(queue, 'six\n')
    expect(await kit.drain(queue)).toEqual([...texts.slice(1), 'six\n'])
  })

  test('after a crash at any append: whatever had been taken, and nothing else', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const [index, text] of texts.entries()) {
      await kit.append(queue, text)
      // A copy of the files under a running queue is what a kill leaves.
      const crashed = await kit.folder(`crash-${index}`)
      await cp(kit.state, crashed, { recursive: true })
      await using again = await kit.open(fakeWorld(), 1 << 30, crashed)
      expect(await kit.drain(again)).toEqual(texts.slice(0, index + 1))
    }
  })

  test('after a crash that tore the last record, at any byte of it: all but what was never taken', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await kit.append(queue, 'one\n')
      await kit.append(queue, 'two\n')
    }
    const [segment = ''] = await kit.segments()
    const whole = await readFile(segment)
    for (let torn = 1; torn < 120; torn++) {
      await appendFile(segment, whole.subarray(0, torn))
      await using queue = await kit.open()
      expect(queue.ledger.records).toBe(2)
      await truncate(segment, whole.length)
    }
    await appendFile(segment, whole.subarray(0, 50))
    await using queue = await kit.open()
    await kit.append(queue, 'three')
    expect(await kit.drain(queue)).toEqual(['one\n', 'two\n', 'three'])
  })

  test('after LevelDB was deleted: every record without a receipt is taken up again, under its old place', async () => {
    await using kit = await QueueKit.start()
    let epoch = 0
    {
      await using queue = await kit.open(fakeWorld(1))
      for (const text of texts) await kit.append(queue, text)
      epoch = queue.head.epoch
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.ledger.records).toBe(5)
    await kit.append(queue, 'new\n')
    expect(queue.head.epoch).toBeGreaterThan(epoch)
    expect(await kit.drain(queue)).toEqual([...texts, 'new\n'])
  })

  test('after LevelDB was deleted although some had receipts: those may come again, the others must', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open(fakeWorld(1))
      for (const text of texts) await kit.append(queue, text)
      await queue.forget((await nextBatch(queue, 1 << 20, 2))?.entries ?? [])
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    await using queue = await kit.open(fakeWorld(2))
    const found = await kit.drain(queue)
    expect(found).toEqual(texts.slice(-found.length))
    expect(found.length).toBeGreaterThanOrEqual(3)
  })

  test('and a new chain never takes the number of an old one, whatever the clock says', async () => {
    await using kit = await QueueKit.start()
    const epochs: number[] = []
    for (let start = 0; start < 3; start++) {
      // Each time the same second, and the same chance.
      await using queue = await kit.open(fakeWorld(1))
      epochs.push(queue.head.epoch)
      await rm(join(kit.state, 'queue'), { recursive: true })
    }
    expect(new Set(epochs).size).toBe(3)
    expect(epochs).toEqual(epochs.toSorted((a, b) => a - b))
  })
})

test('a second agent on the same state folder is told who holds it', async () => {
  await using kit = await QueueKit.start()
  await using _queue = await kit.open()
  const refused = await kit.open().catch((cause: unknown) => cause)
  expect(refused).toBeInstanceOf(Fault)
  expect(refused).toMatchObject({ code: 'STATE_HELD', kind: { exit: 75 } })
  expect(String(refused)).toContain(`process ${process.pid}`)
})

test.each([0, 1, 2, 3, 4, 5])(
  'an append that comes %i microtasks after another was taken is stored',
  async (microtasks) => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const [first, second] = [await kit.arrival('one\n'), await kit.arrival('two\n')]
    await queue.append(first, never)
    for (let count = 0; count < microtasks; count++) await Promise.resolve()
    expect(await queue.append(second, never)).toBe(true)
    expect(await kit.drain(queue)).toEqual(['one\n', 'two\n'])
  },
  5000,
)
