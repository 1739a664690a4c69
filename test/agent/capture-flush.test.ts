import { appendFile, open, truncate, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { flush } from '../../agent/control/flush.ts'
import type { FlushReport } from '../../agent/control/report.ts'
import { tellFiles, type Running } from '../../agent/control/tell-status.ts'
import { decodeResumePoint, encodeResumePoint } from '../../agent/queue/resume-point.ts'
import { realWorld } from '../../agent/world.ts'
import { Ground, queued, type Life, type Watch } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'
import { never, nextBatch } from '../kit/queue-kit.ts'

/** A binary file is not closed before its time unless somebody asks. */
const patient: Life = { source: { format: 'binary', closeAfterMs: 3_600_000 } }

/** Nothing is told, and nobody looks, but for the flush. */
const deaf: Life = {
  options: { rescanMs: 3_600_000 },
  files: (real) => ({
    ...real,
    watch: () => Promise.reject(Object.assign(new Error('ENOSPC: no watches'), { code: 'ENOSPC' })),
  }),
}

function runningOf({ capture, queue }: Watch): Running {
  const delivery = { hurry: () => undefined, report: { is: 'idle' } } as unknown as Running['delivery']
  return { capture, queue, delivery, version: '', server: '' }
}

/** Flushes and delivers until it is done; gives what it shipped meanwhile, as text. */
async function flushed(ground: Ground, watch: Watch): Promise<string[]> {
  const shipped: string[] = []
  const world = { ...realWorld(), journal: watch.told.journal }
  for await (const { done } of flush(runningOf(watch), world, 120_000, never)) {
    if (done) return shipped
    const batch = await nextBatch(watch.queue, 1 << 20, 100)
    for (const { manifest, content } of batch ? await ground.kit.verified(batch) : [])
      shipped.push(manifest.kind === 'data' ? Buffer.from(content ?? []).toString() : manifest.kind)
    if (batch) await watch.queue.forget(batch.entries)
  }
  throw new Error('the flush was not done')
}

test.each([
  ['', patient],
  [', of which only the flush hears', { ...deaf, ...patient }],
])('a flush ships what changed in place%s, and waits for it', async (_, life) => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'header, log')
  await ground.watch(async (watch) => {
    await queued(watch, 11)
    expect(await flushed(ground, watch)).toEqual(['header, log', 'close'])
    await using file = await open(ground.path('a.log'), 'r+')
    await file.write(Buffer.from('HEADER'), 0, 6, 0)
    expect(await flushed(ground, watch)).toEqual(['HEADER, log', 'close'])
    expect(tellFiles(runningOf(watch))).toMatchObject([{ state: 'closed', size: 11, lostBytes: 0 }])
  }, life)
})

test('a flush ships what changed in place of a file that grows while it is read once more', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  let isGrowing = false
  const growing = openedAs((file) => ({
    read: async (into, position) => {
      const count = await file.read(into, position)
      if (isGrowing && position < 16_384) await appendFile(path, 'on')
      return count
    },
  }))
  await writeFile(path, 'header'.padEnd(20_000, '.'))
  await ground.watch(
    async (watch) => {
      await queued(watch, 20_000)
      await using file = await open(path, 'r+')
      await file.write(Buffer.from('CHANGED'), 0, 7, 16_390)
      isGrowing = true
      const shipped = await flushed(ground, watch)
      isGrowing = false
      expect(shipped.some((text) => text.includes('..CHANGED..'))).toBe(true)
      expect(shipped).not.toContain('close')
    },
    { ...patient, files: growing },
  )
})

test('a flush right after a truncation ships what stands in the file now', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  await ground.watch(async (watch) => {
    await writeFile(path, 'x'.repeat(70))
    await flushed(ground, watch)
    await truncate(path, 0)
    await writeFile(path, 'y'.repeat(65))
    expect(await flushed(ground, watch)).toEqual(['y'.repeat(65)])
  }, deaf)
})

test('a flush that could not read a file once more is not done, and names it', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  let isHeld = false
  const readable = Promise.withResolvers<void>()
  const held = openedAs((file) => ({
    read: async (into, position) => {
      if (isHeld) await readable.promise
      return file.read(into, position)
    },
  }))
  await writeFile(path, 'header, log')
  await ground.watch(
    async (watch) => {
      await queued(watch, 11)
      isHeld = true
      using _reading = { [Symbol.dispose]: () => readable.resolve() }
      const reports = flush(runningOf(watch), { ...realWorld(), journal: watch.told.journal }, 1000, never)
      const seen: FlushReport[] = []
      for await (const report of reports) {
        seen.push(report)
        const batch = await nextBatch(watch.queue, 1 << 20, 100)
        if (batch) await watch.queue.forget(batch.entries)
      }
      expect(seen.map(({ done }) => done)).not.toContain(true)
      expect(seen.at(-1)?.remaining).toMatchObject([
        { path, trouble: expect.stringContaining('read once more') as string },
      ])
    },
    { ...patient, files: held },
  )
})

test('a file that could not be read when a flush began is waited for, also where a look of its own finds it', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  let isRefused = true
  const files: Life['files'] = (real) => ({
    ...real,
    watch: () => Promise.reject(failure('ENOSPC')),
    openToRead: (opened) =>
      isRefused && Buffer.from(opened).toString() === path
        ? Promise.reject(failure('EACCES'))
        : real.openToRead(opened),
  })
  await writeFile(path, 'unread\n')
  await ground.watch(
    async (watch) => {
      await watch.told.told('fileTrouble')
      // A stream ends: that has the flush look. By then the file can be read.
      const ending = endingOnce(watch.capture, () => (isRefused = false))
      expect(await flushed(ground, { ...watch, capture: ending })).toEqual(['unread\n'])
    },
    { ...deaf, files },
  )
})

const failure = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code })

/** Says once that a stream is ending, and calls back when it does. */
function endingOnce(capture: Watch['capture'], asked: () => void): Watch['capture'] {
  let isEnding = true
  return new Proxy(capture, {
    get: (target, name) => {
      if (name === 'isEndingStreams' && isEnding) {
        asked()
        isEnding = false
        return true
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

test('the resume points of the first version are read, and those of this one with all that they hold', () => {
  const first =
    '{"stream":"AAAAAAAAAAAAAAAAAAAAAA","path":"L3Zhci9hLmxvZw","identity":{"device":"1","inode":"2","birthNs":"3"},"position":7,"evidence":[]}'
  const old = decodeResumePoint(first)
  if (!old) throw new Error('state of the first version must open')
  expect(old).toEqual({
    stream: 'AAAAAAAAAAAAAAAAAAAAAA',
    path: '/var/a.log',
    identity: { device: '1', inode: '2', birthNs: '3' },
    position: 7,
    evidence: [],
  })
  const closed = { length: 7, modifiedNs: '-1', changedNs: '12' }
  const point = { ...old, seenBytes: 9, place: { path: '/real/a.log', device: '8' }, closed }
  expect(decodeResumePoint(encodeResumePoint(point))).toEqual(point)
})
