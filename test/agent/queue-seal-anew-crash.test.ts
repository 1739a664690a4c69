import { cpSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Journal } from '../../agent/journal.ts'
import type { Arrival } from '../../agent/queue/arrival.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { recordKey } from '../../agent/queue/index-entry.ts'
import { realWorld } from '../../agent/world.ts'
import { sha256, type ByteOffset, type Epoch, type Sequence } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { fakeWorld, skipUntil, type DiskStep, type FakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

/** The state folder is copied, as a kill would leave it, when this step is done for the first time after `arm`. */
function copyingAt(step: keyof Journal, from: string, to: string): FakeWorld & { arm: () => void } {
  const world = fakeWorld()
  let isArmed = false
  const journal = new Proxy(world.journal, {
    get: (target, name) => {
      const tell = Reflect.get(target, name) as (...facts: unknown[]) => void
      return (...facts: unknown[]): void => {
        tell(...facts)
        if (name === step && isArmed) cpSync(from, to, { recursive: true })
        if (name === step) isArmed = false
      }
    },
  })
  return { ...world, journal, arm: () => (isArmed = true) }
}

const shown = (manifest: Manifest, content: Uint8Array | null): string =>
  content ? Buffer.from(content).toString() : `${manifest.kind} ${manifest.length}`

/** What a server has at the end that has other records at the places of this chain. */
async function landed(kit: QueueKit, queue: Queue, taken: Epoch): Promise<string[]> {
  const stored: string[] = []
  for (;;) {
    const batch = await nextBatch(queue, 1 << 20, 100)
    if (!batch) return stored
    const records = await kit.verified(batch)
    for (const [index, entry] of batch.entries.entries()) {
      const record = records[index]
      if (entry.epoch === taken) await queue.sealAnew(entry, never)
      else if (record) stored.push(shown(record.manifest, record.content))
    }
    await queue.forget(batch.entries.filter(({ epoch }) => epoch !== taken))
  }
}

async function arrivals(kit: QueueKit, hasEnded = false): Promise<Arrival[]> {
  const common = { label: kit.label, lane: 'normal', resume: 'stays' } as const
  const data = await kit.arrival('one\n')
  const loss = { kind: 'loss', ...common, offset: 4 as ByteOffset, reason: 'unreadable' } as const
  const end = { kind: 'close', ...common, length: 10, sha256: sha256(Buffer.from('all')) } as const
  const closed = { length: 10, modifiedNs: '1', changedNs: '1' }
  const resume = hasEnded ? null : { ...data.resume, closed }
  return [data, { ...loss, length: 6 }, { ...loss, length: null }, { ...end, resume }]
}

const all = ['one\n', 'loss 6', 'loss null', 'close 10']
const steps = ['segmentWritten', 'segmentSynced', 'indexWritten', 'forgotten'] as const

describe('a kill while records are sealed anew has none of them stored twice, and none lost', () => {
  for (const [hasEnded, number] of [false, true].flatMap((is) => all.map((_, at) => [is, at] as const))) {
    const what = `"${all[number]?.trim()}" of a stream that ${hasEnded ? 'has ended' : 'goes on'}`
    test.each(steps)(`just after the step %s of ${what}`, async (step) => {
      await using kit = await QueueKit.start()
      const copy = join(await kit.folder('copies'), 'state')
      const world = copyingAt(step, kit.state, copy)
      let taken = 0 as Epoch
      {
        await using queue = await kit.open(world)
        for (const arrival of await arrivals(kit, hasEnded)) await queue.append(arrival, never)
        taken = queue.head.epoch
        const { entries = [] } = (await nextBatch(queue, 1 << 20, 100)) ?? {}
        for (const [index, entry] of entries.slice(0, number + 1).entries()) {
          if (index === number) world.arm()
          await queue.sealAnew(entry, never)
        }
      }
      await using queue = await kit.open(fakeWorld(2), 1 << 30, copy)
      const isTwice = step === 'segmentWritten' || step === 'segmentSynced'
      expect(queue.ledger.records).toBe(all.length + (isTwice ? 1 : 0))
      expect((await landed(kit, queue, taken)).toSorted()).toEqual(all.toSorted())
      expect(queue.ledger.records).toBe(0)
      expect(await kit.drain(queue)).toEqual([])
    })
  }

  test('and an index that is lost after it, though the old records still stand in their segments', async () => {
    await using kit = await QueueKit.start()
    let taken = 0 as Epoch
    {
      await using queue = await kit.open()
      for (const arrival of await arrivals(kit)) await queue.append(arrival, never)
      taken = queue.head.epoch
      for (const entry of (await nextBatch(queue, 1 << 20, 100))?.entries ?? [])
        await queue.sealAnew(entry, never)
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.ledger.records).toBe(2 * all.length)
    expect((await landed(kit, queue, taken)).toSorted()).toEqual(all.toSorted())
  })

  test('and an index that loses another record, so that all segments are searched', async () => {
    await using kit = await QueueKit.start()
    let taken = 0 as Epoch
    {
      await using queue = await kit.open()
      for (const text of ['zero\n', 'one\n', 'two\n']) await kit.append(queue, text)
      taken = queue.head.epoch
      const [, one] = (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
      if (one) await queue.sealAnew(one, never)
    }
    const index = await realWorld().openIndex(join(kit.state, 'queue'))
    await index.del(recordKey({ lane: 'normal', epoch: taken, seq: 2 as Sequence }))
    await index.close()
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.ledger.records).toBe(4)
    expect((await landed(kit, queue, taken)).toSorted()).toEqual(['one\n', 'two\n', 'zero\n'])
  })

  test('and its segment goes with its last record', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await kit.append(queue, 'one\n')
    }
    await using queue = await kit.open(fakeWorld(2))
    const before = await kit.segments()
    for (const entry of (await nextBatch(queue, 1 << 20, 100))?.entries ?? [])
      await queue.sealAnew(entry, never)
    const after = await kit.segments()
    expect([before.length, after.length]).toEqual([1, 1])
    expect(after).not.toEqual(before)
  })
})

describe('an index write that fails, and was done all the same, counts the record once', () => {
  test.each([false, true])('(and somebody asks meanwhile: %s)', async (isAsked) => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
    const [one, two] = (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
    if (!one || !two) throw new Error('two wait')
    await queue.sealAnew(one, never)
    world.disk.doesIt = true
    world.disk.failing.set('indexWrite', 'EIO')
    const sealing = queue.sealAnew(two, never)
    await world.told.told('queueBlocked')
    world.disk.failing.clear()
    if (isAsked) await queue.holdsBefore({ epoch: two.epoch, seq: two.seq })
    await skipUntil(world, sealing)
    expect(await skipUntil(world, kit.append(queue, 'three\n'))).toBe(true)
    expect(queue.ledger.records).toBe(3)
    expect(queue.ledger.queuedBytes(kit.label.stream)).toBe(14)
    expect(await kit.drain(queue)).toEqual(['one\n', 'two\n', 'three\n'])
  })
})

test('what an index write took in that failed has its receipt before it is tried again, and is not taken in twice', async () => {
  await using kit = await QueueKit.start()
  const world = fakeWorld()
  await using queue = await kit.open(world)
  for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
  const [one, two] = (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
  if (!one || !two) throw new Error('two wait')
  await queue.sealAnew(one, never)
  world.disk.doesIt = true
  world.disk.failing.set('indexWrite', 'EIO')
  const sealing = queue.sealAnew(two, never)
  await world.told.told('queueBlocked')
  world.disk.failing.clear()
  expect(await kit.drain(queue)).toEqual(['one\n', 'two\n'])
  await skipUntil(world, sealing)
  expect(await skipUntil(world, kit.append(queue, 'three\n'))).toBe(true)
  expect(queue.ledger.records).toBe(1)
  expect(await kit.drain(queue)).toEqual(['three\n'])
})

test('a record that has its receipt before what it holds is sealed anew is counted out once', async () => {
  await using kit = await QueueKit.start()
  const world = fakeWorld()
  await using queue = await kit.open(world)
  for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
  const [one, two] = (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
  if (!one || !two) throw new Error('two wait')
  await queue.sealAnew(one, never)
  world.disk.failing.set('sync', 'EIO')
  const sealing = queue.sealAnew(two, never)
  await world.told.told('queueBlocked')
  await queue.forget([two])
  world.disk.failing.clear()
  await skipUntil(world, sealing)
  expect(await skipUntil(world, kit.append(queue, 'three\n'))).toBe(true)
  expect(queue.ledger.records).toBe(3)
  expect(await kit.drain(queue)).toEqual(['one\n', 'two\n', 'three\n'])
})

describe('who no longer waits for what is sealed anew does not end the intake', () => {
  test.each<DiskStep>(['indexWrite', 'write', 'sync'])('where the disk refuses the step %s', async (step) => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    const link = new AbortController()
    {
      await using queue = await kit.open(world)
      for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
      const [one, two] = (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
      if (!one || !two) throw new Error('two wait')
      await queue.sealAnew(one, never)
      world.disk.failing.set(step, 'EIO')
      const sealing = queue.sealAnew(two, link.signal)
      await world.told.told('queueBlocked')
      link.abort()
      expect(await sealing).toBe(false)
      world.disk.failing.clear()
      // What capture has read by then, and what it cuts when it stops.
      expect(await skipUntil(world, kit.append(queue, 'three\n'))).toBe(true)
    }
    await using queue = await kit.open(fakeWorld(2))
    expect(await kit.drain(queue)).toEqual(['one\n', 'two\n', 'three\n'])
  })
})
