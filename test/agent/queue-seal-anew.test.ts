import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Arrival } from '../../agent/queue/arrival.ts'
import { keys, type IndexEntry } from '../../agent/queue/index-entry.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import type { Index, World } from '../../agent/world.ts'
import { encodeBody } from '../../protocol/body.ts'
import { base64url, sha256, type ByteOffset } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { fakeWorld, skipUntil } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

async function waiting(queue: Queue): Promise<readonly IndexEntry[]> {
  return (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
}

async function manifests(kit: QueueKit, queue: Queue): Promise<Manifest[]> {
  const batch = await nextBatch(queue, 1 << 20, 100)
  return batch ? (await kit.verified(batch)).map(({ manifest }) => manifest) : []
}

/** Bytes as text, whatever kind of array they are in. */
function shown(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(fields)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value instanceof Uint8Array ? base64url(value) : value]),
  )
}

/** All but its place in a chain, and when it was sealed. */
function heldIn({ epoch: _epoch, seq: _seq, prev: _prev, time: _time, ...held }: Manifest): unknown {
  return held
}

/** Counts the ranges that the index is asked for. */
function countingRanges(): { readonly world: World; readonly looked: { ranges: number } } {
  const world = fakeWorld()
  const looked = { ranges: 0 }
  const openIndex: World['openIndex'] = async (directory) =>
    new Proxy(await world.openIndex(directory), {
      get: (target, name) => {
        if (name !== 'iterator') return Reflect.get(target, name, target) as unknown
        return (...args: Parameters<Index['iterator']>) => ({
          all: async () => {
            const rows = await target.iterator(...args).all()
            looked.ranges += rows.filter(([key]) => String(key).startsWith(keys.shipped)).length
            return rows
          },
        })
      },
    })
  return { world: { ...world, openIndex }, looked }
}

describe('what a record holds is sealed anew', () => {
  test('at the start of a new chain, which all that comes later goes on in', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
    const { epoch } = queue.head
    const entries = await waiting(queue)
    const before = await manifests(kit, queue)
    for (const entry of entries) await queue.sealAnew(entry, never)
    await kit.append(queue, 'three\n')
    const after = await manifests(kit, queue)
    expect(queue.head.epoch).toBeGreaterThan(epoch)
    expect(after.map((one) => [one.epoch, one.seq])).toEqual([0, 1, 2].map((seq) => [queue.head.epoch, seq]))
    expect(after.slice(0, 2).map(heldIn)).toEqual(before.map(heldIn))
    expect(await kit.drain(queue)).toEqual(['one\n', 'two\n', 'three\n'])
  })

  test('and counts as one record, not yet signed for', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    await kit.append(queue, 'one\n')
    const position = queue.resumePoints.get(kit.label.stream)?.position
    for (const entry of await waiting(queue)) await queue.sealAnew(entry, never)
    const { stream } = kit.label
    expect(queue.ledger.records).toBe(1)
    expect([queue.ledger.queuedBytes(stream), queue.ledger.receiptedBytes(stream)]).toEqual([4, 0])
    expect(queue.resumePoints.get(stream)?.position).toBe(position)
  })

  test('but not where a later record replaced it: that one stays the last', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    await kit.append(queue, 'old\n')
    const [old] = await waiting(queue)
    if (!old) throw new Error('one waits')
    const later = { kind: 'data', label: kit.label, lane: 'normal', resume: 'stays' } as const
    const body = await encodeBody(Buffer.from('new\n'))
    await queue.append({ ...later, offset: 0 as ByteOffset, body }, never)
    expect(await queue.sealAnew(old, never)).toBe(true)
    expect(await kit.drain(queue)).toEqual(['new\n'])
  })

  test.each(['stays', null] as const)(
    'and a loss counts once, and what had its receipt still counts (the stream: %s)',
    async (resume) => {
      await using kit = await QueueKit.start()
      {
        await using queue = await kit.open()
        await kit.append(queue, 'one\n')
        await queue.forget(await waiting(queue))
        const loss = { kind: 'loss', offset: 4 as ByteOffset, length: 5, reason: 'deleted' } as const
        await queue.append({ ...loss, label: kit.label, lane: 'normal', resume }, never)
        for (const entry of await waiting(queue)) await queue.sealAnew(entry, never)
        expect(queue.ledger.lostBytes(kit.label.stream)).toBe(5)
      }
      await using queue = await kit.open(fakeWorld(2))
      const { stream } = kit.label
      expect([queue.ledger.lostBytes(stream), queue.ledger.receiptedBytes(stream)]).toEqual([5, 4])
    },
  )

  test('and one of an older chain has the chain go on that is there by then', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
    const [one, two] = await waiting(queue)
    if (!one || !two) throw new Error('two wait')
    await queue.sealAnew(one, never)
    const { epoch } = queue.head
    await queue.sealAnew(two, never)
    expect(queue.head).toMatchObject({ epoch, next: 2 })
  })

  test('and whoever waited for the old record waits for the new one', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    await kit.append(queue, 'one\n')
    const end = { epoch: queue.head.epoch, seq: queue.head.next }
    for (const entry of await waiting(queue)) await queue.sealAnew(entry, never)
    expect(await queue.holdsBefore(end)).toBe(true)
    await queue.forget(await waiting(queue))
    expect(await queue.holdsBefore(end)).toBe(false)
  })

  test('and whoever waited for an old record of which nothing is left waits for what took its place', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    await kit.append(queue, 'old\n')
    const [old] = await waiting(queue)
    if (!old) throw new Error('one waits')
    const end = { epoch: queue.head.epoch, seq: queue.head.next }
    const later = { kind: 'data', label: kit.label, lane: 'normal', resume: 'stays' } as const
    const body = await encodeBody(Buffer.from('new\n'))
    await queue.append({ ...later, offset: 0 as ByteOffset, body }, never)
    await queue.sealAnew(old, never)
    expect(await queue.holdsBefore(end)).toBe(true)
    await queue.forget(await waiting(queue))
    expect(await queue.holdsBefore(end)).toBe(false)
  })

  test.each<[string, (kit: QueueKit) => Arrival]>([
    [
      'a loss',
      ({ label }) => ({
        kind: 'loss',
        label,
        lane: 'high',
        resume: 'stays',
        offset: 7 as ByteOffset,
        length: null,
        reason: 'deleted',
      }),
    ],
    [
      'an end',
      ({ label }) => ({
        kind: 'close',
        label,
        lane: 'low',
        resume: 'stays',
        length: 9,
        sha256: sha256(Buffer.from('all of it')),
      }),
    ],
  ])('where it is %s, too', async (_, arrivalOf) => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    const arrival = arrivalOf(kit)
    await queue.append(arrival, never)
    for (const entry of await waiting(queue)) await queue.sealAnew(entry, never)
    const { label, resume: _resume, lane, ...held } = arrival
    const { epoch } = queue.head
    const [manifest] = await manifests(kit, queue)
    expect(shown({ ...manifest })).toMatchObject(shown({ ...held, ...label, epoch, seq: 0 }))
    expect((await waiting(queue)).map((entry) => entry.lane)).toEqual([lane])
  })

  test('although the queue is full, before what waits for room', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world, 3000)
    const stopping = new AbortController()
    const appends = Array.from({ length: 20 }, (_, line) =>
      kit.append(queue, `line ${line}\n`, stopping.signal),
    )
    await world.told.told('queueBlocked')
    const entries = await waiting(queue)
    for (const entry of entries) await queue.sealAnew(entry, never)
    const anew = (await manifests(kit, queue)).map(({ epoch }) => epoch)
    expect(anew).toEqual(entries.map(() => queue.head.epoch))
    stopping.abort()
    expect(await Promise.all(appends)).toContain(false)
  })

  test('as a loss where its bytes are gone from the queue and from their file', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await kit.append(queue, 'one\n')
    }
    const [segment = ''] = await kit.segments()
    const bytes = await readFile(segment)
    await writeFile(segment, bytes.fill('#', bytes.indexOf('one\n'), bytes.indexOf('one\n') + 1))
    await using queue = await kit.open(fakeWorld(2))
    for (const entry of await waiting(queue)) await queue.sealAnew(entry, never)
    expect(await manifests(kit, queue)).toEqual([
      expect.objectContaining({ kind: 'loss', offset: 0, length: 4, reason: 'unreadable' }),
    ])
    expect(queue.ledger.lostBytes(kit.label.stream)).toBe(4)
  })

  test('though nobody waits for a disk that refuses so long, and what comes later is still taken', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    await using queue = await kit.open(world)
    for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
    const [one, two] = await waiting(queue)
    if (!one || !two) throw new Error('two wait')
    await queue.sealAnew(one, never)
    world.disk.failing.set('indexWrite', 'ENOSPC')
    const sealing = queue.sealAnew(two, never)
    await world.told.told('queueBlocked')
    expect(await skipUntil(world, sealing)).toBe(false)
    world.disk.failing.clear()
    expect(await skipUntil(world, kit.append(queue, 'three\n'))).toBe(true)
    expect(await queue.sealAnew(two, never)).toBe(true)
    expect(await kit.drain(queue)).toEqual(['one\n', 'two\n', 'three\n'])
  })

  test('and not all that was shipped of its file is looked at each time', async () => {
    await using kit = await QueueKit.start()
    const { world, looked } = countingRanges()
    await using queue = await kit.open(world)
    const lines = Array.from({ length: 300 }, (_, line) => `${line}\n`)
    await Promise.all(lines.map((line) => kit.append(queue, line)))
    const [first, ...others] = (await nextBatch(queue, 1 << 20, 1000))?.entries ?? []
    if (first) await queue.sealAnew(first, never)
    expect(looked.ranges).toBeGreaterThan(300)
    looked.ranges = 0
    for (const entry of others.slice(-10)) await queue.sealAnew(entry, never)
    expect(looked.ranges).toBeLessThan(100)
  })

  test('and a newer one is seen that is longer than all were before', async () => {
    await using kit = await QueueKit.start()
    await using queue = await kit.open()
    for (const text of ['one\n', 'two\n', 'six\n']) await kit.append(queue, text)
    const [one, two, six] = await waiting(queue)
    if (!one || !two || !six) throw new Error('three wait')
    await queue.sealAnew(one, never)
    const later = { kind: 'data', label: kit.label, lane: 'normal', resume: 'stays' } as const
    const body = await encodeBody(Buffer.from('one, two, six'))
    await queue.append({ ...later, offset: 0 as ByteOffset, body }, never)
    for (const entry of [two, six]) await queue.sealAnew(entry, never)
    expect(await kit.drain(queue)).toEqual(['one\n', 'one, two, six'])
  })

  test('later, where the agent ends before', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await kit.append(queue, 'one\n')
      for (const entry of await waiting(queue)) await queue.sealAnew(entry, AbortSignal.abort())
      expect(await waiting(queue)).toHaveLength(1)
    }
    await using queue = await kit.open(fakeWorld(2))
    expect(await kit.drain(queue)).toEqual(['one\n'])
  })
})
