import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { realWorld } from '../../agent/world.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'
import { fill, filledTwice, indexFolder, texts } from '../kit/ten-records.ts'

/** Takes LevelDB back in time to this copy of it. */
async function putBack(kit: QueueKit, copy: string): Promise<void> {
  await rm(indexFolder(kit), { recursive: true })
  await cp(copy, indexFolder(kit), { recursive: true })
}

test('one flipped bit anywhere in the files of LevelDB loses no record, and has no place taken twice', async () => {
  await using kit = await QueueKit.start()
  const epoch = await filledTwice(kit)
  const files = (await readdir(indexFolder(kit))).filter((name) => /\d|CURRENT/.test(name))
  const copy = await kit.folder('flipped')
  let flips = 0
  for (const name of files) {
    const whole = await readFile(join(indexFolder(kit), name))
    for (let at = 0; at < whole.length; at += Math.max(1, Math.ceil(whole.length / 40))) {
      flips++
      await rm(copy, { recursive: true, force: true })
      await cp(kit.state, copy, { recursive: true })
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at & 7))
      await writeFile(join(copy, 'queue', name), damaged)
      await using queue = await kit.open(fakeWorld(2), 1 << 30, copy)
      const { head } = queue
      expect(
        head.epoch > epoch || (head.epoch === epoch && head.next === texts.length),
        `${name} ${at}`,
      ).toBe(true)
      expect(await kit.drain(queue), `${name} ${at}`).toEqual(texts)
      expect(queue.aside).toEqual([])
    }
  }
  expect(flips).toBeGreaterThan(100)
})

describe('a LevelDB that does not open', () => {
  test('because a file is in its place: that is moved aside, and its records are taken up', async () => {
    await using kit = await QueueKit.start()
    await filledTwice(kit)
    await rm(indexFolder(kit), { recursive: true })
    await writeFile(indexFolder(kit), 'not a folder')
    const world = fakeWorld(2)
    await using queue = await kit.open(world)
    const aside = `${indexFolder(kit)}.damaged-1`
    expect(world.told.named('indexMovedAside')).toEqual([[aside, expect.any(String)]])
    expect(String(await readFile(aside))).toBe('not a folder')
    expect(await kit.drain(queue)).toEqual(texts)
  })

  test('because its manifest is gone is moved aside, whole, and its records are taken up', async () => {
    await using kit = await QueueKit.start()
    await filledTwice(kit)
    const names = await readdir(indexFolder(kit))
    for (const name of names) if (name.startsWith('MANIFEST')) await rm(join(indexFolder(kit), name))
    const left = await readdir(indexFolder(kit))
    const world = fakeWorld(2)
    await using queue = await kit.open(world)
    expect(world.told.named('indexMovedAside')).toHaveLength(1)
    const aside = await readdir(`${indexFolder(kit)}.damaged-1`)
    expect(aside).toEqual(expect.arrayContaining(left.filter((name) => name.endsWith('.ldb'))))
    expect(await kit.drain(queue)).toEqual(texts)
  })

  test('twice leaves both where they are', async () => {
    await using kit = await QueueKit.start()
    await filledTwice(kit)
    for (let time = 1; time <= 2; time++) {
      await rm(indexFolder(kit), { recursive: true })
      await writeFile(indexFolder(kit), `damage ${time}`)
      await using queue = await kit.open(fakeWorld(time + 1))
      expect(queue.ledger.records).toBe(texts.length)
    }
    for (let time = 1; time <= 2; time++)
      expect(String(await readFile(`${indexFolder(kit)}.damaged-${time}`))).toBe(`damage ${time}`)
  })

  // The second is EDQUOT, as Node says it.
  test.each(['ENOSPC', 'Unknown system error -122'])(
    'because the disk is full is left as it is (%s)',
    async (code) => {
      await using kit = await QueueKit.start()
      await filledTwice(kit)
      const world = fakeWorld(2)
      world.disk.failing.set('openIndex', code)
      await expect(kit.open(world)).rejects.toMatchObject({ code: 'QUEUE_UNREADABLE', kind: { exit: 74 } })
      expect(world.told.named('indexMovedAside')).toEqual([])
      world.disk.failing.clear()
      await using queue = await kit.open(world)
      expect(await kit.drain(queue)).toEqual(texts)
    },
  )
})

describe('a LevelDB that went back in time', () => {
  test('over receipts goes on behind the last record that the segments prove, each in its place', async () => {
    await using kit = await QueueKit.start()
    const old = await kit.folder('old')
    const later = Array.from({ length: 5 }, (_, index) => `later ${index}\n`)
    let end = { epoch: 0, next: 0 }
    {
      await using queue = await kit.open(fakeWorld(1), 64 * 1024)
      await fill(kit, queue)
      await cp(indexFolder(kit), old, { recursive: true })
      await kit.drain(queue)
      for (const text of later) await kit.append(queue, text)
      end = queue.head
    }
    await putBack(kit, old)
    await using queue = await kit.open(fakeWorld(3), 64 * 1024)
    await kit.append(queue, 'new\n')
    // All of them are in a segment that is still there, so the chain can go on; what had its receipt is a duplicate.
    expect(queue.head).toMatchObject({ epoch: end.epoch, next: end.next + 1 })
    expect(await kit.drain(queue)).toEqual([...texts, ...later, 'new\n'])
  })

  test('although the last record that it knows still waits begins a new chain', async () => {
    await using kit = await QueueKit.start()
    const old = await kit.folder('old')
    let end = { epoch: 0, next: 0 }
    {
      await using queue = await kit.open(fakeWorld(1))
      await queue.append({ ...(await kit.arrival('low\n')), lane: 'low' }, never)
      await cp(indexFolder(kit), old, { recursive: true })
      await fill(kit, queue)
      await queue.forget((await nextBatch(queue, 1 << 20, 100))?.entries ?? [])
      end = queue.head
    }
    {
      await using queue = await kit.open(fakeWorld(2))
      expect(await kit.segments()).toHaveLength(1)
      expect(queue.head).toMatchObject({ epoch: end.epoch, next: end.next })
    }
    await putBack(kit, old)
    await using queue = await kit.open(fakeWorld(3))
    expect(queue.head.epoch).toBeGreaterThan(end.epoch)
    expect(await kit.drain(queue)).toEqual(['low\n'])
  })

  test('to before a new chain began begins another: nobody knows how far the old one went meanwhile', async () => {
    await using kit = await QueueKit.start()
    const old = await kit.folder('old')
    let epoch = 0
    {
      await using queue = await kit.open(fakeWorld(1))
      await fill(kit, queue)
    }
    await cp(indexFolder(kit), old, { recursive: true })
    await rm(indexFolder(kit), { recursive: true })
    {
      await using queue = await kit.open(fakeWorld(2))
      epoch = queue.head.epoch
    }
    await putBack(kit, old)
    await using queue = await kit.open(fakeWorld(3))
    expect(queue.head.epoch).toBeGreaterThan(epoch)
    expect(await kit.drain(queue)).toEqual(texts)
  })

  test('over records whose newest is damaged begins a new chain: nobody knows how far the old one went', async () => {
    await using kit = await QueueKit.start()
    const old = await kit.folder('old')
    let epoch = 0
    {
      await using queue = await kit.open(fakeWorld(1))
      await fill(kit, queue)
      await cp(indexFolder(kit), old, { recursive: true })
      for (const text of ['later 1\n', 'later 2\n']) await kit.append(queue, text)
      epoch = queue.head.epoch
    }
    const [segment = ''] = await kit.segments()
    const bytes = await readFile(segment)
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1
    await writeFile(segment, bytes)
    await putBack(kit, old)
    await using queue = await kit.open(fakeWorld(3))
    expect(queue.head.epoch).toBeGreaterThan(epoch)
    expect(await kit.drain(queue)).toEqual([...texts, 'later 1\n'])
  })

  test('over records that were delivered and whose segments had to go takes no place twice', async () => {
    await using kit = await QueueKit.start()
    const old = await kit.folder('old')
    let end = { epoch: 0, next: 0 }
    {
      await using queue = await kit.open(fakeWorld(1), 64 * 1024)
      await fill(kit, queue)
      await cp(indexFolder(kit), old, { recursive: true })
      for (let count = 0; count < 5; count++) await kit.append(queue, `later ${count}\n`)
      await kit.drain(queue)
      end = queue.head
    }
    {
      // Opening it removes what nobody needs, and notes how far the chain goes.
      await using queue = await kit.open(fakeWorld(2), 64 * 1024)
      expect(await kit.segmentBytes()).toBe(0)
      expect(queue.head).toMatchObject({ epoch: end.epoch, next: end.next })
    }
    await putBack(kit, old)
    await using queue = await kit.open(fakeWorld(3), 64 * 1024)
    expect(queue.head.epoch).toBeGreaterThan(end.epoch)
  })
})

test('records of an old chain that can be read again only after a new one began are delivered', async () => {
  await using kit = await QueueKit.start()
  await filledTwice(kit)
  const hidden = await kit.folder('hidden')
  await rename(kit.segmentFolder, join(hidden, 'segments'))
  await rm(indexFolder(kit), { recursive: true })
  {
    await using queue = await kit.open(fakeWorld(2))
    for (let count = 0; count < 20; count++) await kit.append(queue, `new ${count}\n`)
    expect(await kit.drain(queue)).toHaveLength(20)
    await kit.append(queue, 'last\n')
  }
  const [old = ''] = await readdir(join(hidden, 'segments'))
  await rename(join(hidden, 'segments', old), join(kit.segmentFolder, '00000900.logb'))
  await using queue = await kit.open(fakeWorld(3))
  expect(await kit.drain(queue)).toEqual([...texts, 'last\n'])
})

test('a state folder of an agent before lanes, envelopes and counts opens, and nothing of it is sent twice', async () => {
  await using kit = await QueueKit.start()
  let epoch = 0
  {
    await using queue = await kit.open()
    await fill(kit, queue)
    await queue.forget((await nextBatch(queue, 1 << 20, 3))?.entries ?? [])
    epoch = queue.head.epoch
  }
  await writeAsBefore(kit)
  const world = fakeWorld(2)
  await using queue = await kit.open(world)
  expect(queue.head).toMatchObject({ epoch, next: texts.length })
  expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(texts.join('').length)
  expect(queue.ledger.receiptedBytes(kit.label.stream)).toBe(texts.slice(0, 3).join('').length)
  await kit.append(queue, 'new\n')
  expect(world.told.named('recordsMissing')).toEqual([])
  expect(await kit.drain(queue)).toEqual([...texts.slice(3), 'new\n'])
})

/** Rewrites LevelDB as the agent of before would have left it. */
async function writeAsBefore(kit: QueueKit): Promise<void> {
  const index = await realWorld().openIndex(indexFolder(kit))
  const plain = new Map<string, string>()
  for (const [key, stored] of await index.iterator().all()) plain.set(key, stored.slice(9))
  const { at: _, ...head } = JSON.parse(plain.get('head') ?? '') as Record<string, unknown>
  plain.set('head', JSON.stringify(head))
  plain.set('acknowledged', plain.get('acknowledged/normal') ?? '')
  for (const key of plain.keys()) {
    if (/^(acknowledged\/|segment\/|shipped\/|added$|removed$)/.test(key)) plain.delete(key)
    if (!key.startsWith('record/')) continue
    const fields = JSON.parse(plain.get(key) ?? '') as unknown[]
    plain.set(key, JSON.stringify(fields.slice(0, 6)))
  }
  await index.clear()
  await index.batch([...plain].map(([key, value]) => ({ type: 'put', key, value })))
  await index.close()
}
