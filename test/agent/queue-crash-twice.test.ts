import { appendFile, cp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Lane } from '../../agent/queue/lane.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { fakeWorld, type FakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

/** A world that ends with the index write that comes after so many. */
function endingAfter(world: FakeWorld, writes: number): FakeWorld {
  let left = writes
  return {
    ...world,
    openIndex: async (directory) => {
      const index = await world.openIndex(directory)
      return new Proxy(index, {
        get: (target, name) => {
          if (name === 'batch' && left-- <= 0) return () => Promise.reject(new Error('killed'))
          const value: unknown = Reflect.get(target, name, target)
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        },
      })
    },
  }
}

/** What is delivered: each record's chain, place and text. */
async function delivered(kit: QueueKit, queue: Queue): Promise<(readonly [place: string, text: string])[]> {
  const all: (readonly [string, string])[] = []
  for (;;) {
    const batch = await nextBatch(queue, 1 << 20, 10)
    if (!batch) return all
    for (const { manifest, content } of await kit.verified(batch))
      all.push([`${manifest.epoch}/${manifest.seq}`, Buffer.from(content ?? []).toString()])
    await queue.forget(batch.entries)
  }
}

async function append(kit: QueueKit, queue: Queue, lane: Lane, text: string): Promise<void> {
  await queue.append({ ...(await kit.arrival(text)), lane }, never)
}

const lanesOf: Record<string, Lane> = { one: 'high', two: 'normal', three: 'low', four: 'high' }

/** Its index is of before these records, which stand in segments of all lanes. */
async function leftBehind(kit: QueueKit): Promise<void> {
  const index = join(kit.state, 'queue')
  const old = await kit.folder('old')
  {
    await using queue = await kit.open()
    const { resume } = await kit.arrival('')
    await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
    await append(kit, queue, 'normal', 'zero')
    await cp(index, old, { recursive: true })
    for (const [text, lane] of Object.entries(lanesOf)) await append(kit, queue, lane, text)
  }
  await rm(index, { recursive: true })
  await cp(old, index, { recursive: true })
}

/** The chain cannot be followed: what stands last in a segment is damaged. */
async function damageEnd(kit: QueueKit): Promise<void> {
  const last = (await kit.segments()).find((path) => path.includes('.low')) ?? ''
  const bytes = await readFile(last)
  bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1
  await appendFile(last, bytes)
}

describe('a crash while the queue takes up what a crash left behind the head', () => {
  test.each([
    ['goes on with the chain', async () => undefined],
    ['begins a new chain', damageEnd],
    ['has no index at all', (kit: QueueKit) => rm(join(kit.state, 'queue'), { recursive: true })],
  ])('that %s, at each write: no place is taken twice, and nothing counted twice', async (_, change) => {
    await using kit = await QueueKit.start()
    await leftBehind(kit)
    await change(kit)
    let hasOpened = false
    for (let writes = 0; !hasOpened; writes++) {
      const copy = await kit.folder(`copy-${writes}`)
      await cp(kit.state, copy, { recursive: true })
      const killed = kit.open(endingAfter(fakeWorld(2), writes), 1 << 30, copy)
      hasOpened = await killed.then(
        async (queue) => queue[Symbol.asyncDispose]().then(() => true),
        () => false,
      )
      const world = fakeWorld(3)
      await using queue = await kit.open(world, 1 << 30, copy)
      expect(world.told.named('recordsMissing')).toEqual([])
      expect(queue.resumePoints.get(kit.label.stream)?.evidence, `after ${writes} writes`).not.toEqual([])
      await append(kit, queue, 'normal', 'new')
      const all = await delivered(kit, queue)
      expect(new Set(all.map(([place]) => place)).size, `after ${writes} writes`).toBe(all.length)
      const texts = ['zero', ...Object.keys(lanesOf), 'new']
      expect(all.map(([, text]) => text).toSorted()).toEqual(texts.toSorted())
      expect(queue.ledger.records).toBe(0)
    }
    expect((await readdir(join(kit.state, '..'))).length).toBeGreaterThan(3)
  })

  test('before it begins a new chain takes no place of the old one twice', async () => {
    await using kit = await QueueKit.start()
    await leftBehind(kit)
    await damageEnd(kit)
    const world = fakeWorld(2)
    world.disk.failing.set('rename', 'EIO')
    await expect(kit.open(world)).rejects.toMatchObject({ code: 'QUEUE_UNREADABLE' })
    await using queue = await kit.open(fakeWorld(3))
    await append(kit, queue, 'normal', 'new')
    const all = await delivered(kit, queue)
    expect(new Set(all.map(([place]) => place)).size).toBe(all.length)
    expect(all.map(([, text]) => text).toSorted()).toEqual(
      ['zero', ...Object.keys(lanesOf), 'new'].toSorted(),
    )
  })
})
