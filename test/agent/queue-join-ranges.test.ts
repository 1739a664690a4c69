import * as fc from 'fast-check'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keys, markKey, type IndexEntry } from '../../agent/queue/index-entry.ts'
import { IndexStore } from '../../agent/queue/index-store.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { rowsFrom } from '../../agent/queue/shipped.ts'
import { realWorld } from '../../agent/world.ts'
import { equalBytes, sha256 } from '../../protocol/ids.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { rangeRows } from '../kit/index-rows.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { fileBytes, Shipped } from '../kit/shipped.ts'

const line = (number: number): string =>
  `line ${String(number).padStart(6, '0')} of a log that nobody rotates\n`

/** A log, as the file system has it. */
class Log {
  readonly kit: QueueKit
  readonly queue: Queue
  bytes: Buffer = Buffer.alloc(0)

  constructor(kit: QueueKit, queue: Queue) {
    this.kit = kit
    this.queue = queue
  }

  /** A record for each line. */
  async write(lines: number): Promise<void> {
    const texts = Array.from({ length: lines }, (_, index) => line(index))
    this.bytes = Buffer.concat([this.bytes, Buffer.from(texts.join(''))])
    await Promise.all(texts.map((text) => this.kit.append(this.queue, text)))
  }

  /** All that waits has its receipt, but for the newest of them. */
  async deliver(allBut = 0): Promise<void> {
    const { entries = [] } = (await nextBatch(this.queue, 1 << 24, 100_000)) ?? {}
    await this.queue.forget(entries.slice(0, entries.length - allBut))
  }

  /** Until nothing more is to be joined. */
  async join(): Promise<void> {
    for (let from = 0, isMore = true; isMore;)
      ({ from, isMore } = await this.queue.joinShipped(this.kit.label.stream, from, async (offset, bytes) =>
        this.bytes.subarray(offset, offset + bytes),
      ))
  }

  /** The ends of the ranges that the queue says were shipped. Throws where they do not adjoin, or are not as the file was. */
  async ends(): Promise<readonly number[]> {
    const ends: number[] = []
    for await (const { offset, length, sha256: hash } of this.queue.shipped(this.kit.label.stream)) {
      const isAsWritten = equalBytes(hash, sha256(this.bytes.subarray(offset, offset + length)))
      if (offset !== (ends.at(-1) ?? 0) || !isAsWritten) throw new Error(`what is said of ${offset} is wrong`)
      ends.push(offset + length)
    }
    return ends
  }
}

describe('small ranges that adjoin are joined in the index', () => {
  test('so that of a log in thousands of small records few rows are left, which say the same', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const log = new Log(kit, queue)
      for (let round = 0; round < 3; round++) {
        await log.write(1000)
        await log.deliver()
        await log.join()
      }
      const ends = await log.ends()
      expect(ends.at(-1)).toBe(log.bytes.length)
      expect(await queue.unnamed(kit.label.stream, 0, log.bytes.length)).toEqual([])
    }
    const rows = await rangeRows(kit.state)
    expect(rows.length).toBeLessThanOrEqual(Math.ceil((3000 * line(0).length) / (32 * 1024)))
    expect(Math.max(...rows.map(([, length]) => length))).toBeLessThanOrEqual(64 * 1024)
  })

  test('not where their records still wait', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const log = new Log(kit, queue)
      await log.write(100)
      await log.deliver(30)
      await log.join()
      expect((await log.ends()).at(-1)).toBe(log.bytes.length)
    }
    expect(await rangeRows(kit.state)).toHaveLength(31)
  })

  test('not where the file holds other bytes by now: those are told as they were shipped', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const log = new Log(kit, queue)
      await log.write(3000)
      await log.deliver()
      const shipped = log.bytes
      log.bytes = Buffer.from(shipped)
      log.bytes.write('X', shipped.length >> 1)
      await log.join()
      log.bytes = shipped
      expect((await log.ends()).at(-1)).toBe(shipped.length)
    }
    // Of one range of 64 KiB the rows are as they were.
    const rows = await rangeRows(kit.state)
    expect(rows.length).toBeGreaterThan(500)
    expect(rows.length).toBeLessThan(1500)
  })

  test('not over a loss, nor over bytes that were never shipped', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await queue.setResumePoint((await kit.arrival('')).resume)
      const shipped = new Shipped(kit, queue)
      const log = new Log(kit, queue)
      log.bytes = Buffer.from('abcdefghijkl')
      for (const [offset, text] of [
        [0, 'ab'],
        [2, 'cd'],
        [6, 'gh'],
        [9, 'jk'],
        [11, 'l'],
      ] as const)
        await shipped.write({ offset, text })
      await shipped.lose(4, 2)
      await shipped.store()
      await log.join()
      expect(await queue.unnamed(kit.label.stream, 0, 12)).toMatchObject([{ offset: 8, length: 1 }])
    }
    expect((await rangeRows(kit.state)).map(([, length]) => length)).toEqual([4, 2, 2, 3])
  })

  test('not where one goes on beneath a newer one', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    await queue.setResumePoint((await kit.arrival('')).resume)
    const [shipped, log] = [new Shipped(kit, queue), new Log(kit, queue)]
    log.bytes = Buffer.from('ABCDEfghij')
    for (const [offset, text] of [
      [0, 'abcdefghij'],
      [0, 'ABC'],
      [3, 'DE'],
    ] as const)
      await shipped.write({ offset, text })
    await shipped.store()
    await log.join()
    expect(await queue.unnamed(kit.label.stream, 0, 10)).toEqual([])
  })

  test('and of what was written over since, the newest record is named', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await queue.setResumePoint((await kit.arrival('')).resume)
      const [shipped, log] = [new Shipped(kit, queue), new Log(kit, queue)]
      log.bytes = Buffer.from('ABcd')
      const ab = { offset: 0, text: 'ab' }
      for (const write of [ab, { offset: 2, text: 'cd' }, { ...ab, text: 'AB' }]) await shipped.write(write)
      await shipped.store()
      await log.join()
    }
    await using index = await IndexStore.open(() => realWorld().openIndex(join(kit.state, 'queue')))
    const rows = await rowsFrom(index, kit.label.stream, 0, 10)
    expect(rows.map(({ layers }) => layers.map(({ length, at }) => [length, at?.seq]))).toEqual([[[4, 2]]])
  })

  test('and stay so where an index that lost other things has the same records taken up again', async () => {
    await using kit = await QueueKit.start()
    let bytes: Buffer = Buffer.alloc(0)
    {
      await using queue = await kit.open()
      const log = new Log(kit, queue)
      await log.write(300)
      await log.deliver()
      await log.join()
      bytes = log.bytes
    }
    {
      const index = await realWorld().openIndex(join(kit.state, 'queue'))
      const seen = await index.keys({ gte: keys.segments, lt: `${keys.segments}~` }).all()
      for (const key of [markKey('normal'), keys.added, ...seen]) await index.del(key)
      await index.close()
    }
    await using queue = await kit.open(fakeWorld(2))
    const log = new Log(kit, queue)
    log.bytes = bytes
    expect(queue.ledger.records).toBe(300)
    expect(await queue.unnamed(kit.label.stream, 0, bytes.length)).toEqual([])
    for await (const { offset, length, sha256: hash } of queue.shipped(kit.label.stream))
      expect(hash).toEqual(sha256(bytes.subarray(offset, offset + length)))
    await log.deliver()
    expect(queue.ledger.records).toBe(0)
  })

  test('not once their stream has ended: nothing of it is left', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      const log = new Log(kit, queue)
      await log.write(100)
      await log.deliver()
      const { stream } = kit.label
      await queue.joinShipped(stream, 0, async (offset, bytes) => {
        await queue.endStream(stream)
        return log.bytes.subarray(offset, offset + bytes)
      })
    }
    expect(await rangeRows(kit.state)).toEqual([])
  })

  test('not where one of them was shipped again meanwhile', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    await queue.setResumePoint((await kit.arrival('')).resume)
    const shipped = new Shipped(kit, queue)
    for (const [offset, text] of ['ab', 'cd', 'ef'].entries())
      await shipped.write({ offset: 2 * offset, text })
    await shipped.store()
    await queue.joinShipped(kit.label.stream, 0, async () => {
      await shipped.write({ offset: 2, text: 'CD' })
      return Buffer.from('abcdef')
    })
    const ranges = await Array.fromAsync(queue.shipped(kit.label.stream))
    expect(ranges.map(({ sha256: hash }) => hash)).toEqual(
      ['ab', 'CD', 'ef'].map((text) => sha256(Buffer.from(text))),
    )
  })

  test.each([false, true])(
    'or left as they are, where the disk refuses (and does it all the same: %s)',
    async (doesIt) => {
      await using kit = await QueueKit.start()
      const world = fakeWorld()
      await using queue = await kit.open(world)
      const log = new Log(kit, queue)
      await log.write(300)
      await log.deliver()
      world.disk.doesIt = doesIt
      world.disk.failing.set('indexWrite', 'EIO')
      await expect(log.join()).rejects.toThrow('EIO')
      world.disk.failing.clear()
      expect(await log.ends()).toHaveLength(doesIt ? 1 : 300)
      await log.write(1)
      await log.deliver()
      await log.join()
      expect(await log.ends()).toHaveLength(1)
    },
  )
})

test('whatever is shipped, has its receipt, is joined, and is sealed anew, in any order: what was shipped last is the content', async () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        is: fc.constant('write' as const),
        offset: fc.nat(9),
        length: fc.integer({ min: 1, max: 6 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ is: fc.constant('join' as const) }) },
    { weight: 2, arbitrary: fc.record({ is: fc.constant('deliver' as const) }) },
    { weight: 2, arbitrary: fc.record({ is: fc.constant('fork' as const), which: fc.nat() }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 20 }), async (steps) => {
      await using kit = await QueueKit.start()
      await using queue = await kit.open()
      await queue.setResumePoint((await kit.arrival('')).resume)
      const [shipped, log] = [new Shipped(kit, queue), new Log(kit, queue)]
      log.bytes = Buffer.alloc(fileBytes, '.')
      let waiting: IndexEntry[] = []
      for (const [number, one] of steps.entries()) {
        if (one.is === 'write') {
          const text = String.fromCharCode(65 + number).repeat(one.length)
          log.bytes.write(text, one.offset)
          waiting.push(await shipped.write({ offset: one.offset, text }))
        }
        if (one.is === 'join') await log.join()
        if (one.is === 'deliver') {
          const half = new Set(waiting.splice(0, waiting.length >> 1).map(({ seq }) => seq))
          await shipped.store(({ seq }) => half.has(seq))
        }
        const forked = one.is === 'fork' ? waiting[one.which % waiting.length] : undefined
        if (forked) await queue.sealAnew(forked, never)
        if (forked) waiting = [...((await nextBatch(queue, 1 << 20, 1000))?.entries ?? [])]
      }
      await log.join()
      await shipped.store()
      expect(shipped.content).toBe(log.bytes.toString())
    }),
    { numRuns: 40 },
  )
}, 60_000)
