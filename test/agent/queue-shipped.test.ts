import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { appendFile, rename, writeFile } from 'node:fs/promises'
import type { Queue } from '../../agent/queue/queue.ts'
import { RangeHash, type ShippedRange } from '../../agent/queue/shipped.ts'
import { equalBytes } from '../../protocol/ids.ts'
import { Ground, queued } from '../kit/capture-ground.ts'
import { never, QueueKit } from '../kit/queue-kit.ts'

const shippedOf = (kit: QueueKit, queue: Queue): Promise<ShippedRange[]> =>
  Array.fromAsync(queue.shipped(kit.label.stream))

/** Ships the text in pieces of these lengths, so many with one write. */
async function ship(kit: QueueKit, queue: Queue, pieces: readonly string[], atOnce: number): Promise<void> {
  const arrivals = []
  for (const piece of pieces) arrivals.push(await kit.arrival(piece))
  while (arrivals.length > 0)
    await Promise.all(arrivals.splice(0, atOnce).map((arrival) => queue.append(arrival, never)))
}

/** How far the ranges tell of the text without a gap, and rightly. */
function heldTo(ranges: readonly ShippedRange[], text: string): number {
  let end = 0
  for (const { offset, length, sha256, parts } of ranges) {
    const hash = new RangeHash(parts)
    const bytes = Buffer.from(text.slice(offset, offset + length))
    for (let from = 0; from < bytes.length; from += 1000) hash.update(bytes.subarray(from, from + 1000))
    if (offset !== end || !equalBytes(hash.digest(), sha256)) return end
    end += length
  }
  return end
}

test('of a log that grew by a line at a time few ranges are kept, which hold all of it', async () => {
  await using kit = await QueueKit.start()
  const lines = Array.from({ length: 1000 }, (_, index) => `${index} ${'x'.repeat(index % 90)}\n`)
  {
    await using queue = await kit.open()
    await ship(kit, queue, lines, 5)
    const ranges = await shippedOf(kit, queue)
    expect(heldTo(ranges, lines.join(''))).toBe(lines.join('').length)
    expect(ranges.filter(({ parts }) => parts)).toHaveLength(1)
    expect(ranges.length).toBeLessThan(800)
  }
  await using queue = await kit.open()
  expect(queue.holes).toEqual([])
}, 20_000)

test('whatever the pieces are, they are held', async () => {
  const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40_000 })), {
    minLength: 1,
    maxLength: 60,
  })
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 8 }), async (lengths, atOnce) => {
      await using kit = await QueueKit.start()
      await using queue = await kit.open()
      const texts = lengths.map((length, index) => String(index % 10).repeat(length))
      await ship(kit, queue, texts, atOnce)
      expect(heldTo(await shippedOf(kit, queue), texts.join(''))).toBe(texts.join('').length)
    }),
    { numRuns: 15 },
  )
}, 30_000)

test('what changed in a file that grew by a line at a time is shipped again once, and not what is as it was', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  const lines = Array.from({ length: 40 }, (_, index) => `${index} ${'x'.repeat(990)}\n`)
  const text = lines.join('')
  const changed = text.replace(/\n3 x/, '\n3 y')
  await writeFile(path, '')
  const closed = { source: { format: 'binary', closeAfterMs: 1 } } as const
  await ground.watch(async (watch) => {
    let length = 0
    for (const line of lines) {
      await appendFile(path, line)
      await queued(watch, (length += line.length))
    }
    await watch.told.told('fileClosed')
    await writeFile(path, changed)
    await watch.told.told('fileClosed', 2)
    await rename(path, ground.path('b.log'))
    await appendFile(ground.path('b.log'), 'end\n')
    await watch.told.told('fileClosed', 3)
  }, closed)
  const [stream] = await ground.streams()
  expect(stream?.text).toBe(`${changed}end\n`)
  const sizes = stream?.records.flatMap((record) => (record.kind === 'data' ? [record.length] : []))
  const again = (sizes ?? []).filter((length) => length > 1000)
  // In chunks of the size that there may be, and once.
  expect(again.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(16 * 1024)
}, 20_000)
