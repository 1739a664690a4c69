import { appendFile, cp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Fault } from '../../protocol/fault.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { QueueKit } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

const texts = ['one\n', 'two\n', 'three', 'four\n', 'five\n']

describe('what was appended', () => {
  test('comes out in the order of the chain, as it was, and verifies', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of texts) expect(await kit.append(queue, text)).toBe(true)
    expect(await kit.drain(queue, 1)).toEqual(texts)
    expect(await queue.nextBatch(1 << 20, 10)).toBeUndefined()
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
    expect((await queue.nextBatch(1, 10))?.entries).toHaveLength(1)
    expect((await queue.nextBatch(1 << 20, 2))?.entries).toHaveLength(2)
    const all = await queue.nextBatch(1 << 20, 10)
    const [first, second] = all?.entries ?? []
    if (!first || !second) throw new Error('there are five')
    const two = first.extent.length + second.extent.length
    expect((await queue.nextBatch(two, 10))?.entries).toHaveLength(2)
    expect((await queue.nextBatch(two - 1, 10))?.entries).toHaveLength(1)
  })

  test('is counted out once, though a flush looks while it is being forgotten', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of texts) await kit.append(queue, text)
    const entries = (await queue.nextBatch(1 << 20, 2))?.entries ?? []
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
    const entries = (await queue.nextBatch(1 << 20, 10))?.entries ?? []
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
      await queue.forget((await queue.nextBatch(1, 1))?.entries ?? [])
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
      await queue.forget((await queue.nextBatch(1 << 20, 2))?.entries ?? [])
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

describe('one flipped bit in a segment', () => {
  test('at any byte of it is found, named and kept back, and what stands beside it is given out', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      for (const text of ['one\n', 'two\n', 'three\n']) await kit.append(queue, text)
    }
    const [segment = ''] = await kit.segments()
    const whole = await readFile(segment)
    const chance = new Seeded(7)
    const world = fakeWorld()
    await using queue = await kit.open(world)
    const entries = (await queue.nextBatch(1 << 20, 10))?.entries ?? []
    const [, middle] = entries
    if (!middle) throw new Error('there are three')
    const { offset, length } = middle.extent
    for (let at = offset; at < offset + length; at++) {
      const copy = await kit.folder('flipped')
      await rm(copy, { recursive: true })
      await cp(kit.state, copy, { recursive: true })
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << chance.below(8))
      await writeFile(join(copy, 'segments', '00000001.logb'), damaged)
      const again = fakeWorld()
      await using hurt = await kit.open(again, 1 << 30, copy)
      expect(await kit.drain(hurt), `byte ${at - offset}`).toEqual(['one\n', 'three\n'])
      expect(hurt.aside).toEqual([{ ...middle, why: expect.stringContaining('damaged in the queue') }])
      expect(again.told.named('recordSetAside')).toHaveLength(1)
    }
  })

  test('is still named after a restart, and never sent', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      for (const text of texts) await kit.append(queue, text)
    }
    const [segment = ''] = await kit.segments()
    const bytes = await readFile(segment)
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1
    await writeFile(segment, bytes)
    {
      await using queue = await kit.open()
      expect(await kit.drain(queue)).toEqual(texts.slice(0, 4))
    }
    await using queue = await kit.open()
    expect(queue.aside).toHaveLength(1)
    expect(queue.ledger.records).toBe(1)
    expect(await queue.nextBatch(1 << 20, 10)).toBeUndefined()
  })

  test('in the one place is no reason to lose the index of the others, when LevelDB is gone too', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open(fakeWorld(1))
      for (const text of texts) await kit.append(queue, text)
    }
    const [segment = ''] = await kit.segments()
    const whole = await readFile(segment)
    await rm(join(kit.state, 'queue'), { recursive: true })
    for (let at = 0; at < whole.length; at += 7) {
      const copy = await kit.folder('flipped')
      await rm(copy, { recursive: true })
      await cp(kit.state, copy, { recursive: true })
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ 0x10
      await writeFile(join(copy, 'segments', '00000001.logb'), damaged)
      await using queue = await kit.open(fakeWorld(2), 1 << 30, copy)
      const found = await kit.drain(queue)
      expect(found).toHaveLength(4)
      expect(texts.filter((text) => found.includes(text))).toEqual(found)
    }
  })
})

describe('a segment that is cut short, or gone', () => {
  test.each([
    ['cut short', (path: string) => truncate(path, 10)],
    ['gone', (path: string) => rm(path)],
  ])('%s: its records are named, and new ones are delivered', async (_, damage) => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      for (const text of texts) await kit.append(queue, text)
    }
    const [segment = ''] = await kit.segments()
    await damage(segment)
    await using queue = await kit.open()
    await kit.append(queue, 'new\n')
    expect(await kit.drain(queue)).toEqual(['new\n'])
    expect(queue.aside.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4])
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

test('a folder that LevelDB cannot open is left as it is', async () => {
  await using kit = await QueueKit.start()
  await writeFile(await kit.folder('state').then((path) => join(path, 'queue')), 'not a folder')
  const refused = await kit.open().catch((cause: unknown) => cause)
  expect(refused).toMatchObject({ code: 'QUEUE_UNREADABLE', kind: { exit: 74 } })
  expect((await stat(join(kit.state, 'queue'))).isFile()).toBe(true)
})
