import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { mendHoles } from '../../agent/queue/mend-holes.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { realWorld } from '../../agent/world.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

const textOf = (record: number): string => `record  ${record}\n`
const pad = (value: number): string => String(value).padStart(16, '0')
const recordBytes = textOf(0).length
const unsourced = () => undefined
const { files } = realWorld()

async function fill(kit: QueueKit, records: number): Promise<void> {
  await using queue = await kit.open()
  const { resume } = await kit.arrival('')
  await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
  for (let record = 0; record < records; record++) await kit.append(queue, textOf(record))
}

/** Takes the record at a place, which holds this one, out of the index, with all that says so, and damages it. */
async function lose(kit: QueueKit, record: number, place = record): Promise<void> {
  const index = await realWorld().openIndex(join(kit.state, 'queue'))
  const key = (await index.keys().all()).find((one) => one.startsWith('record/') && one.endsWith(pad(place)))
  await index.del(key ?? '')
  await index.del(`shipped/${kit.label.stream}/${pad(record * recordBytes)}`)
  await index.close()
  for (const segment of await kit.segments()) {
    const bytes = await readFile(segment)
    const at = bytes.indexOf(textOf(record))
    if (at >= 0) await writeFile(segment, bytes.fill('#', at, at + 1))
  }
}

/** What loss records name, as they are delivered. */
async function losses(kit: QueueKit, queue: Queue): Promise<string[]> {
  const named: string[] = []
  for (let batch = await nextBatch(queue, 1 << 20, 9); batch; batch = await nextBatch(queue, 1 << 20, 9)) {
    for (const { manifest } of await kit.verified(batch))
      if (manifest.kind === 'loss') named.push(`${manifest.offset}+${manifest.length}`)
    await queue.forget(batch.entries)
  }
  return named
}

describe('a range that a loss record names', () => {
  test('is no hole at the next damage', async () => {
    await using kit = await QueueKit.start()
    await fill(kit, 6)
    await lose(kit, 2)
    {
      await using queue = await kit.open(fakeWorld(2))
      await mendHoles(queue, files, unsourced, never)
      expect(await losses(kit, queue)).toEqual([`${2 * recordBytes}+${recordBytes}`])
      for (const record of [6, 7]) await kit.append(queue, textOf(record))
    }
    await lose(kit, 7, 8)
    await using queue = await kit.open(fakeWorld(3))
    await mendHoles(queue, files, unsourced, never)
    expect(await losses(kit, queue)).toEqual([`${7 * recordBytes}+${recordBytes}`])
    expect(queue.ledger.lostBytes(kit.label.stream)).toBe(2 * recordBytes)
  })

  test('is named once although the agent ends before that is noted', async () => {
    await using kit = await QueueKit.start()
    await fill(kit, 6)
    await lose(kit, 2)
    const world = fakeWorld(2)
    const stop = new AbortController()
    {
      await using queue = await kit.open(world)
      const mending = mendHoles(queue, files, unsourced, stop.signal)
      await world.told.told('indexWritten')
      stop.abort()
      await mending
    }
    await using queue = await kit.open(fakeWorld(3))
    expect(queue.holes).toEqual([])
    expect(await losses(kit, queue)).toHaveLength(1)
  })

  test('is not among what was shipped of its file', async () => {
    await using kit = await QueueKit.start()
    await fill(kit, 2)
    await lose(kit, 0)
    await using queue = await kit.open(fakeWorld(2))
    await mendHoles(queue, files, unsourced, never)
    const shipped = await Array.fromAsync(queue.shipped(kit.label.stream))
    expect(shipped).toMatchObject([{ offset: recordBytes, length: recordBytes }])
  })
})

test('mending moves no resume point, whatever capture stores meanwhile', async () => {
  await using kit = await QueueKit.start()
  await fill(kit, 4)
  await lose(kit, 1)
  const world = fakeWorld(2)
  const end = 5 * recordBytes
  {
    await using queue = await kit.open(world)
    expect(queue.areHolesMended).toBe(false)
    world.disk.failing.set('sync', 'EIO')
    const later = kit.append(queue, textOf(4))
    await world.told.told('queueBlocked')
    const mending = mendHoles(queue, files, unsourced, never)
    world.disk.failing.clear()
    await world.clock.skip()
    await Promise.all([later, mending])
    expect(queue.areHolesMended).toBe(true)
    expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(end)
  }
  await using queue = await kit.open(fakeWorld(3))
  expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(end)
  expect(queue.holes).toEqual([])
})

describe('a disk that refuses while the queue opens', () => {
  test.each([
    ['indexWrite', 'ENOSPC'],
    ['indexWrite', 'EROFS'],
    ['syncDirectory', 'EIO'],
  ] as const)('(%s, %s) is a fault of the queue, and nothing is lost', async (step, code) => {
    await using kit = await QueueKit.start()
    await fill(kit, 3)
    const world = fakeWorld(2)
    world.disk.failing.set(step, code)
    await expect(kit.open(world)).rejects.toMatchObject({ code: 'QUEUE_UNREADABLE', kind: { exit: 74 } })
    await using queue = await kit.open(fakeWorld(3))
    expect(await kit.drain(queue)).toEqual([0, 1, 2].map(textOf))
  })

  test('a bug stays a bug', async () => {
    await using kit = await QueueKit.start()
    const bug = new TypeError('not a function')
    const world = fakeWorld()
    const broken = { ...world.files, syncDirectory: () => Promise.reject(bug) }
    await expect(kit.open({ ...world, files: broken })).rejects.toBe(bug)
  })
})
