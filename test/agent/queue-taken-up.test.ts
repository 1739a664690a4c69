import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { evidenceAfter } from '../../agent/queue/evidence.ts'
import { realWorld, type OpenFile, type World } from '../../agent/world.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { changedFile } from '../kit/changed-file.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { flipBit } from '../kit/flip-bit.ts'
import { nextBatch, QueueKit, withheld } from '../kit/queue-kit.ts'
import { fill, texts } from '../kit/ten-records.ts'

const all = texts.join('')
const lengthOf = (some: readonly string[]): number => some.join('').length

/** Flips a bit in LevelDB's log, in the key of the record: that write is lost, and every one after it. */
async function loseFromRecord(kit: QueueKit, record: number): Promise<void> {
  const folder = join(kit.state, 'queue')
  const log = (await readdir(folder)).find((name) => name.endsWith('.log')) ?? ''
  const bytes = await readFile(join(folder, log))
  let at = -1
  for (let count = 0; count <= record; count++) at = bytes.indexOf('record/', at + 1)
  await flipBit(join(folder, log), at)
}

/** How far the chain goes, as LevelDB alone has it. */
async function storedNext(kit: QueueKit): Promise<unknown> {
  const index = await realWorld().openIndex(join(kit.state, 'queue'))
  // Behind the check of the value.
  const text = (await index.get('head'))?.replace(/^~.{8}/, '')
  const { next } = JSON.parse(text ?? '{}') as { next?: number }
  await index.close()
  return next
}

/** Everything comes once, the chain goes on, and the file would be read on behind all of it. */
async function expectNothingLost(kit: QueueKit, epoch: number, waiting: readonly string[]): Promise<void> {
  {
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.head).toMatchObject({ epoch, next: texts.length })
    expect(queue.ledger.records).toBe(waiting.length)
    expect(queue.ledger.queuedBytes(kit.label.stream)).toBe(lengthOf(waiting))
    expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(all.length)
  }
  await using queue = await kit.open(fakeWorld(3))
  expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(all.length)
  await kit.append(queue, 'new\n')
  expect(queue.head).toMatchObject({ epoch, next: texts.length + 1 })
  expect(await kit.drain(queue)).toEqual([...waiting, 'new\n'])
  expect(queue.aside).toEqual([])
  expect(queue.ledger.records).toBe(0)
}

describe('records that the segments have and the index has not are taken up again, in their places', () => {
  test.each(texts.keys().toArray())('when LevelDB lost everything from record %i on', async (lost) => {
    await using kit = await QueueKit.start()
    let epoch = 0
    {
      await using queue = await kit.open()
      await fill(kit, queue)
      epoch = queue.head.epoch
    }
    await loseFromRecord(kit, lost)
    expect(await storedNext(kit)).toBe(lost)
    await expectNothingLost(kit, epoch, texts)
  })

  test('when LevelDB lost the newest, and those before have their receipts', async () => {
    await using kit = await QueueKit.start()
    let epoch = 0
    {
      await using queue = await kit.open()
      await fill(kit, queue)
      epoch = queue.head.epoch
      await queue.forget((await nextBatch(queue, 1 << 20, 4))?.entries ?? [])
    }
    {
      // LevelDB keeps what it had when it was opened; only what comes now can be lost.
      await using queue = await kit.open()
      for (const text of ['late 1\n', 'late 2\n', 'late 3\n']) await kit.append(queue, text)
    }
    await loseFromRecord(kit, 0)
    expect(await storedNext(kit)).toBe(10)
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.head).toMatchObject({ epoch, next: 13 })
    expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(all.length + 21)
    await kit.append(queue, 'new\n')
    expect(await kit.drain(queue)).toEqual([...texts.slice(4), 'late 1\n', 'late 2\n', 'late 3\n', 'new\n'])
  })

  test('when the log of LevelDB lost some in its middle and kept the newest', async () => {
    await using kit = await QueueKit.start()
    const many = Array.from({ length: 400 }, (_, index) => `line ${index}\n`)
    {
      await using queue = await kit.open(fakeWorld(), 400_000)
      for (const text of many) await kit.append(queue, text)
    }
    expect((await kit.segments()).length).toBeGreaterThan(1)
    await loseFromRecord(kit, 20)
    expect(await storedNext(kit)).toBe(many.length)
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.head.next).toBe(many.length)
    expect(await kit.drain(queue)).toEqual(many)
  })

  test('when a crash came between the segment and the index; the file is then read on behind them', async () => {
    await using kit = await QueueKit.start()
    const world = fakeWorld()
    let epoch = 0
    {
      await using queue = await kit.open(world)
      const { resume } = await kit.arrival('')
      await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
      for (const text of texts.slice(0, 9)) await kit.append(queue, text)
      epoch = queue.head.epoch
      world.disk.failing.set('indexWrite', 'EIO')
      const appending = kit.append(queue, texts[9] ?? '')
      await world.told.told('queueBlocked')
      await queue[Symbol.asyncDispose]()
      expect(await appending).toBe(false)
    }
    expect(await storedNext(kit)).toBe(9)
    await expectNothingLost(kit, epoch, texts)
  })

  test('and their bytes prove, as evidence, that the file is still the one that was read', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await fill(kit, queue)
    }
    await loseFromRecord(kit, 0)
    await using queue = await kit.open(fakeWorld(2))
    let evidence = evidenceAfter([], 0, Buffer.from(texts[0] ?? ''))
    for (let count = 1; count < texts.length; count++)
      evidence = evidenceAfter(evidence, lengthOf(texts.slice(0, count)), Buffer.from(texts[count] ?? ''))
    expect(queue.resumePoints.get(kit.label.stream)?.evidence).toEqual(evidence)
  })

  test('where one of them is damaged, the others are, and a new chain begins: no place is taken twice', async () => {
    await using kit = await QueueKit.start()
    let epoch = 0
    let damaged = 0
    {
      await using queue = await kit.open()
      await fill(kit, queue)
      epoch = queue.head.epoch
      const sixth = (await nextBatch(queue, 1 << 20, 100))?.entries[5]
      damaged = (sixth?.extent?.offset ?? 0) + (sixth?.extent?.length ?? 0) - 3
    }
    await loseFromRecord(kit, 5)
    const [segment = ''] = await kit.segments()
    await flipBit(segment, damaged)
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.head.epoch).toBeGreaterThan(epoch)
    expect(queue.head.next).toBe(0)
    // What was damaged is read again from its file, with everything behind it.
    expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(lengthOf(texts.slice(0, 5)))
    expect(await kit.drain(queue)).toEqual([...texts.slice(0, 5), ...texts.slice(6)])
  })
})

test('a new chain is larger than any in the segments, when clock, epoch file and LevelDB are all lost', async () => {
  await using kit = await QueueKit.start()
  let epoch = 0
  {
    await using queue = await kit.open()
    await fill(kit, queue)
    epoch = queue.head.epoch
  }
  await rm(join(kit.state, 'queue'), { recursive: true })
  await rm(join(kit.state, 'epoch'))
  const world = fakeWorld()
  world.clock.wallMs = () => 5000
  await using queue = await kit.open(world)
  expect(queue.head.epoch).toBeGreaterThan(epoch)
  expect(await queue.holdsBefore({ epoch: queue.head.epoch, seq: queue.head.next })).toBe(true)
  expect(await kit.drain(queue)).toEqual(texts)
})

/** A world whose disk does not read the bytes before `end` of any segment. */
function badSector(sector: { end: number }): World {
  const world = fakeWorld()
  const damage = (file: OpenFile): OpenFile =>
    changedFile(file, {
      read: async (into, position) => {
        if (position < sector.end) throw Object.assign(new Error('EIO: injected, read'), { code: 'EIO' })
        return file.read(into, position)
      },
    })
  const create: World['files']['create'] = async (path) => damage(await world.files.create(path))
  const openToRead: World['files']['openToRead'] = async (path) => damage(await world.files.openToRead(path))
  return { ...world, files: { ...world.files, create, openToRead } }
}

test('a segment that nobody can read or knows of is kept, and taken up once it can be read', async () => {
  await using kit = await QueueKit.start()
  {
    await using queue = await kit.open()
    for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
  }
  await rm(join(kit.state, 'queue'), { recursive: true })
  {
    await using queue = await kit.open(badSector({ end: 100 }))
    expect(queue.ledger.records).toBe(0)
  }
  await using queue = await kit.open(fakeWorld(2))
  expect(await kit.drain(queue)).toEqual(['one\n', 'two\n'])
})

describe('a record that the disk does not read', () => {
  test('goes without its body the third time, and those behind it whole', async () => {
    await using kit = await QueueKit.start()
    const sector = { end: 0 }
    await using queue = await kit.open(badSector(sector))
    for (const text of ['one\n', 'two\n', 'three\n']) await kit.append(queue, text)
    sector.end = 100
    for (let time = 1; time <= 2; time++) {
      await expect(nextBatch(queue, 1 << 20, 100)).rejects.toThrow('EIO')
      expect(queue.aside).toEqual([])
    }
    expect(await kit.drain(queue)).toEqual([withheld, 'two\n', 'three\n'])
    expect(queue.ledger.lostBytes(kit.label.stream)).toBe(4)
    expect(queue.ledger.records).toBe(0)
  })

  test('twice, and then again, is given out', async () => {
    await using kit = await QueueKit.start()
    const sector = { end: 0 }
    await using queue = await kit.open(badSector(sector))
    for (const text of ['one\n', 'two\n']) await kit.append(queue, text)
    sector.end = 100
    for (let time = 1; time <= 2; time++) await expect(nextBatch(queue, 1 << 20, 100)).rejects.toThrow('EIO')
    sector.end = 0
    expect(await kit.drain(queue)).toEqual(['one\n', 'two\n'])
    expect(queue.aside).toEqual([])
  })
})
