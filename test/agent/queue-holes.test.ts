import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { evidenceAfter } from '../../agent/queue/evidence.ts'
import { mendHoles } from '../../agent/queue/mend-holes.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import type { ResumePoint } from '../../agent/queue/resume-point.ts'
import { realWorld, type Files, type OpenFile } from '../../agent/world.ts'
import { encodeBody } from '../../protocol/body.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { changedFile } from '../kit/changed-file.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit, withheld } from '../kit/queue-kit.ts'

const texts = Array.from({ length: 10 }, (_, index) => `record number ${index}\n`)
const all = texts.join('')
const startOf = (record: number): number => texts.slice(0, record).join('').length

interface Followed {
  readonly path: string
  readonly label: StreamLabel
}

/** A file, all of which is in the queue: a record a line. */
async function ship(kit: QueueKit, queue: Queue): Promise<Followed> {
  const folder = join(kit.state, '..', 'logs')
  await mkdir(folder, { recursive: true })
  const path = join(folder, 'flight.log')
  await writeFile(path, all)
  const { dev, ino, birthtimeNs } = await stat(path, { bigint: true })
  const identity = { device: String(dev), inode: String(ino), birthNs: String(birthtimeNs) }
  const label = labelOf(path)
  const begin = { stream: label.stream, path: label.path, identity, evidence: [] }
  let resume: ResumePoint = { ...begin, position: 0 as ByteOffset }
  await queue.setResumePoint(resume)
  for (const text of texts) {
    const offset = resume.position
    const position = (offset + text.length) as ByteOffset
    resume = { ...begin, position, evidence: evidenceAfter(resume.evidence, offset, Buffer.from(text)) }
    const body = await encodeBody(Buffer.from(text))
    await queue.append({ kind: 'data', lane: 'normal', label, offset, body, resume }, never)
  }
  return { path, label }
}

async function shipped(kit: QueueKit): Promise<Followed> {
  await using queue = await kit.open()
  return await ship(kit, queue)
}

/** Takes a record out of the index, with all that says so, and damages it in its segment. */
async function lose(kit: QueueKit, { label }: Followed, record: number): Promise<void> {
  const index = await realWorld().openIndex(join(kit.state, 'queue'))
  const place = (await index.keys().all()).find((key) => key.endsWith(`/${String(record).padStart(16, '0')}`))
  await index.del(place?.startsWith('record/') ? place : '')
  await index.del(`shipped/${label.stream}/${String(startOf(record)).padStart(16, '0')}`)
  await index.close()
  const [segment = ''] = await kit.segments()
  const bytes = await readFile(segment)
  const at = bytes.indexOf(texts[record] ?? '')
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(segment, bytes)
}

/** Of a drone whose configuration has this for the file, and for no other. */
const sourced = (path: string) => (asked: Uint8Array) =>
  Buffer.from(asked).toString() === path
    ? { tags: new Map([['kind', 'flight']]), priority: 'high' as const }
    : undefined
const unsourced = () => undefined

async function manifestsOf(kit: QueueKit, queue: Queue): Promise<unknown[]> {
  const batch = await nextBatch(queue, 1 << 20, 100)
  return batch ? (await kit.verified(batch)).map(({ manifest }) => manifest) : []
}

describe('a record of which index and segment have nothing left', () => {
  test.each([0, 4, 9])(
    '(number %i) is read again from its file, and shipped as a new one',
    async (record) => {
      await using kit = await QueueKit.start()
      let followed: Followed | undefined
      {
        await using queue = await kit.open()
        followed = await ship(kit, queue)
      }
      await lose(kit, followed, record)
      const world = fakeWorld(2)
      {
        await using queue = await kit.open(world)
        const [offset, length] = [startOf(record), texts[record]?.length]
        expect(queue.holes).toEqual([{ stream: followed.label.stream, offset, length }])
        expect(world.told.named('recordsMissing')).toEqual([[1]])
      }
      // Whoever stops before it is mended finds it again.
      await using queue = await kit.open(fakeWorld(3))
      await mendHoles(queue, world.files, unsourced, never)
      expect(await kit.drain(queue)).toEqual([...texts.filter((_, index) => index !== record), texts[record]])
      await queue[Symbol.asyncDispose]()
      await using again = await kit.open(fakeWorld(4))
      expect(again.holes).toEqual([])
    },
  )

  test('is read again from its file where that was renamed', async () => {
    await using kit = await QueueKit.start()
    const followed = await shipped(kit)
    await lose(kit, followed, 4)
    await rename(followed.path, `${followed.path}.1`)
    await using queue = await kit.open(fakeWorld(2))
    await mendHoles(queue, realWorld().files, unsourced, never)
    expect(await kit.drain(queue)).toEqual([...texts.filter((_, index) => index !== 4), texts[4]])
  })

  test('is read on where its disk failed in the midst of it', async () => {
    await using kit = await QueueKit.start()
    await lose(kit, await shipped(kit), 4)
    const [start, read] = [startOf(4), 7]
    let failures = 0
    const { files } = realWorld()
    const openToRead: Files['openToRead'] = async (path) => {
      const file = await files.openToRead(path)
      const readSome: OpenFile['read'] = async (into, position) => {
        if (position === start + read && failures++ === 0)
          throw Object.assign(new Error('EIO: injected, read'), { code: 'EIO' })
        return file.read(position === start ? into.subarray(0, read) : into, position)
      }
      return changedFile(file, { read: readSome })
    }
    await using queue = await kit.open(fakeWorld(2))
    await mendHoles(queue, { ...files, openToRead }, unsourced, never)
    expect(failures).toBe(2)
    const text = texts[4] ?? ''
    const others = texts.filter((_, index) => index !== 4)
    expect(await kit.drain(queue)).toEqual([...others, text.slice(0, read), text.slice(read)])
  })

  test('is read again where the first look finds its file, for which it waits', async () => {
    await using kit = await QueueKit.start()
    const followed = await shipped(kit)
    await lose(kit, followed, 4)
    const elsewhere = join(kit.state, '..', 'moved.log')
    await rename(followed.path, elsewhere)
    await using queue = await kit.openWith({ isLookComing: true }, fakeWorld(2))
    const mending = mendHoles(queue, realWorld().files, unsourced, never)
    await queue.looked((stream) => (stream === followed.label.stream ? Buffer.from(elsewhere) : undefined))
    await mending
    expect(await kit.drain(queue)).toEqual([...texts.filter((_, index) => index !== 4), texts[4]])
  })

  test('is shipped with the tags and in the lane that are configured for its file', async () => {
    await using kit = await QueueKit.start()
    let followed: Followed | undefined
    {
      await using queue = await kit.open()
      followed = await ship(kit, queue)
    }
    await lose(kit, followed, 4)
    await using queue = await kit.open(fakeWorld(2))
    await mendHoles(queue, realWorld().files, sourced(followed.path), never)
    const batch = await queue.take(1 << 20, 10)
    expect(batch?.lane).toBe('high')
    const [record] = batch ? await kit.verified(batch) : []
    expect(record?.manifest.tags).toEqual(new Map([['kind', 'flight']]))
  })

  test.each([
    ['is gone', (path: string) => rm(path)],
    ['is another one now', (path: string) => writeFile(path, all.replaceAll('record', 'flight'))],
  ])('and whose file %s is named in a loss record, to the byte', async (_, change) => {
    await using kit = await QueueKit.start()
    let followed: Followed | undefined
    {
      await using queue = await kit.open()
      followed = await ship(kit, queue)
    }
    await lose(kit, followed, 4)
    await change(followed.path)
    await using queue = await kit.open(fakeWorld(2))
    await mendHoles(queue, realWorld().files, unsourced, never)
    expect((await manifestsOf(kit, queue)).at(-1)).toMatchObject({
      kind: 'loss',
      stream: followed.label.stream,
      offset: startOf(4),
      length: texts[4]?.length,
      reason: 'unreadable',
    })
    expect(queue.ledger.lostBytes(followed.label.stream)).toBe(texts[4]?.length)
  })
})

describe('a record whose segment is gone', () => {
  test.each([
    ['where it was', async () => undefined],
    ['renamed', (path: string) => rename(path, `${path}.1`)],
  ])('is made again from its file, %s', async (_, change) => {
    await using kit = await QueueKit.start()
    let followed: Followed | undefined
    {
      await using queue = await kit.open()
      followed = await ship(kit, queue)
    }
    for (const segment of await kit.segments()) await rm(segment)
    await change(followed.path)
    await using queue = await kit.open(fakeWorld(2))
    expect(await kit.drain(queue)).toEqual(texts)
    expect(queue.ledger.lostBytes(followed.label.stream)).toBe(0)
  })

  test('is made again as far as its file has the same bytes', async () => {
    await using kit = await QueueKit.start()
    let followed: Followed | undefined
    {
      await using queue = await kit.open()
      followed = await ship(kit, queue)
    }
    for (const segment of await kit.segments()) await rm(segment)
    await writeFile(followed.path, all.replace('number 4', 'NUMBER 4').slice(0, startOf(8)))
    await using queue = await kit.open(fakeWorld(2))
    const expected = texts.map((text, index) => ([4, 8, 9].includes(index) ? withheld : text))
    expect(await kit.drain(queue)).toEqual(expected)
    expect(queue.ledger.lostBytes(followed.label.stream)).toBe(3 * (texts[0]?.length ?? 0))
  })
})
