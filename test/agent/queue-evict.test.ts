import { describe, expect, test } from 'vitest'
import type { Lane } from '../../agent/queue/lane.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld, skipUntil, type FakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit, withheld } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

const maxBytes = 64 * 1024
const bodyBytes = 3000
const labels = { high: labelOf('/log/high'), normal: labelOf('/log/normal'), low: labelOf('/log/low') }

/** Appends incompressible records of a lane, and gives their contents. */
async function fill(kit: QueueKit, queue: Queue, lane: Lane, count: number, seed: number): Promise<string[]> {
  const chance = new Seeded(seed)
  const contents: string[] = []
  for (let index = 0; index < count; index++) {
    const content = Buffer.from(chance.bytes(bodyBytes)).toString('latin1')
    const arrival = await kit.arrival(Buffer.from(content, 'latin1'), labels[lane])
    await queue.append({ ...arrival, lane }, never)
    contents.push(Buffer.from(content, 'latin1').toString())
  }
  return contents
}

const evicting = (kit: QueueKit, world: FakeWorld): Promise<Queue> =>
  kit.openWith({ maxBytes, whenFull: 'evict' }, world)

describe('a full queue that evicts', () => {
  test('never waits: the oldest lose their bodies and keep their envelopes, and the newest stay whole', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    {
      await using queue = await evicting(kit, world)
      const contents = await fill(kit, queue, 'normal', 40, 1)
      expect(await kit.segmentBytes()).toBeLessThanOrEqual(maxBytes)
      const lost = queue.ledger.evictedRecords
      expect(lost).toBeGreaterThan(20)
      expect(queue.ledger.records).toBe(40)
      expect(queue.ledger.lostBytes(labels.normal.stream)).toBe(lost * bodyBytes)
      expect(queue.ledger.queuedBytes(labels.normal.stream)).toBe((40 - lost) * bodyBytes)
      const told = world.told.named('bodiesEvicted')
      expect(told.reduce((sum, [, records]) => sum + Number(records), 0)).toBe(lost)
      expect(world.told.named('queueBlocked')).toEqual([])
      expect((await nextBatch(queue, 1 << 20, 100))?.entries.slice(0, lost)).toEqual(
        expect.arrayContaining([expect.objectContaining({ isWithheld: true, extent: null })]),
      )
      expect(contents).toHaveLength(40)
    }
    await using queue = await evicting(kit, fakeWorld(2))
    const lost = queue.ledger.evictedRecords
    const found = await kit.drain(queue)
    expect(found.slice(0, lost)).toEqual(Array(lost).fill(withheld))
    expect(found.slice(lost)).not.toContain(withheld)
    expect(found).toHaveLength(40)
    expect(queue.ledger.lostBytes(labels.normal.stream)).toBe(lost * bodyBytes)
    expect(queue.ledger.receiptedBytes(labels.normal.stream)).toBe((40 - lost) * bodyBytes)
    expect(queue.ledger.evictedRecords).toBe(0)
  })

  test('gives up the lowest lane first', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await evicting(kit, world)
    await fill(kit, queue, 'low', 6, 1)
    const high = await fill(kit, queue, 'high', 9, 2)
    const normal = await fill(kit, queue, 'normal', 5, 3)
    expect(new Set(world.told.named('bodiesEvicted').map(([lane]) => lane))).toEqual(new Set(['low']))
    expect((await kit.drain(queue)).slice(0, 14)).toEqual([...high, ...normal])
  })

  test('never gives up a higher lane for a lower one, which waits', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await evicting(kit, world)
    const high = await fill(kit, queue, 'high', 14, 1)
    const large = await kit.arrival(new Seeded(2).bytes(6 * bodyBytes), labels.low)
    const waiting = queue.append({ ...large, lane: 'low' }, never)
    expect(await world.told.told('queueBlocked')).toEqual(['the queue is full'])
    expect(await kit.drain(queue)).toEqual(high)
    expect(await waiting).toBe(true)
    expect(world.told.named('bodiesEvicted')).toEqual([])
  })

  test('leaves alone what is handed out, and what was given up is not handed out with its body', async () => {
    await using kit = await QueueKit.start()
    await using queue = await evicting(kit, fakeWorld())
    const contents = await fill(kit, queue, 'normal', 12, 1)
    const batch = await queue.take(1 << 20, 1)
    if (!batch) throw new Error('twelve wait')
    await fill(kit, queue, 'normal', 20, 2)
    const [first] = await kit.verified(batch)
    expect(Buffer.from(first?.content ?? []).toString()).toBe(contents[0])
    expect(queue.ledger.lostBytes(labels.normal.stream)).toBeGreaterThan(0)
    await queue.forget(batch.entries)
    queue.giveBack(batch)
    expect(queue.ledger.receiptedBytes(labels.normal.stream)).toBe(bodyBytes)
  })

  test('sends a body all the same that is still in its file; then nothing of it is lost', async () => {
    await using kit = await QueueKit.start()
    const file: Uint8Array[] = []
    const findBytes = async ({ offset, length }: { offset: number; length: number }): Promise<Uint8Array> =>
      Buffer.concat(file).subarray(offset, offset + length)
    await using queue = await kit.openWith({ maxBytes, whenFull: 'evict', findBytes })
    const chance = new Seeded(1)
    for (let index = 0; index < 40; index++) {
      file.push(chance.bytes(bodyBytes))
      await kit.append(queue, file.at(-1) ?? '')
    }
    expect(queue.ledger.lostBytes(kit.label.stream)).toBeGreaterThan(0)
    expect(await kit.drain(queue)).toEqual(file.map((content) => Buffer.from(content).toString()))
    expect(queue.ledger.lostBytes(kit.label.stream)).toBe(0)
    expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(40 * bodyBytes)
  })

  test('gives bodies up once, though it is not known whether that was written', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await evicting(kit, world)
    await fill(kit, queue, 'normal', 15, 1)
    world.disk.doesIt = true
    world.disk.failing.set('indexWrite', 'EIO')
    const filling = fill(kit, queue, 'normal', 10, 2)
    await world.told.told('queueBlocked')
    world.disk.failing.clear()
    await skipUntil(world, filling)
    const lost = queue.ledger.evictedRecords
    expect(queue.ledger.lostBytes(labels.normal.stream)).toBe(lost * bodyBytes)
    expect(await kit.drain(queue)).toHaveLength(25)
    expect(queue.ledger.bytes).toBe(0)
  })

  test('whose envelopes alone fill it waits', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await evicting(kit, world)
    const filling = fill(kit, queue, 'normal', 100, 1)
    await world.told.told('queueBlocked')
    expect(queue.state.is).toBe('full')
    expect(queue.ledger.evictedRecords).toBeGreaterThan(40)
    await kit.drain(queue)
    await filling
  })
})

describe('a disk with less free than queue.minFree', () => {
  const minFree = 1 << 20

  test('makes new records wait, says why, and lets them pass once there is more', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.openWith({ minFree }, world)
    await kit.append(queue, 'before')
    world.disk.freeBytes = minFree
    world.clock.advance(1000)
    const appending = kit.append(queue, 'during')
    const [why] = await world.told.told('queueBlocked')
    expect(why).toContain('1MiB')
    expect(queue.state).toEqual({ is: 'blocked', why })
    world.disk.freeBytes = 2 * minFree
    expect(await skipUntil(world, appending)).toBe(true)
    expect(queue.state.is).toBe('open')
    expect(await kit.drain(queue)).toEqual(['before', 'during'])
  })

  test('has its queue turn over where it evicts, and grow no more', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.openWith({ maxBytes, minFree, whenFull: 'evict' }, world)
    await fill(kit, queue, 'normal', 12, 1)
    const before = await kit.segmentBytes()
    world.disk.freeBytes = minFree - 1
    world.clock.advance(1000)
    await fill(kit, queue, 'normal', 20, 2)
    expect(await kit.segmentBytes()).toBeLessThanOrEqual(before)
    const found = await kit.drain(queue)
    expect(found).toHaveLength(32)
    expect(found.at(-1)).not.toBe(withheld)
  })
})
