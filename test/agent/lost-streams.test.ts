import { appendFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Recalled, Recall } from '../../agent/deliver/recall.ts'
import { firstEpochAt } from '../../agent/queue/epoch.ts'
import { realWorld } from '../../agent/world.ts'
import { sha256, type ByteOffset, type StreamId } from '../../protocol/ids.ts'
import { logPathFromBytes, type LogPath } from '../../protocol/log-path.ts'
import { Ground, queued, type Life } from '../kit/capture-ground.ts'
import { labelOf } from '../kit/drone.ts'
import { nextBatch } from '../kit/queue-kit.ts'
import { hastyClock } from '../kit/sortie-life.ts'

const nameOf = (path: string): LogPath => logPathFromBytes(Buffer.from(path)) ?? ''

/** What the server has of a file, in two records. */
function held(path: string, text: string): Recalled {
  const half = text.length >> 1
  const evidence = [[0, text.slice(0, half)] as const, [half, text.slice(half)] as const].map(
    ([offset, part]) => ({
      offset: offset as ByteOffset,
      length: part.length,
      sha256: sha256(Buffer.from(part)),
    }),
  )
  const { stream } = labelOf(path)
  return {
    stream,
    path: nameOf(path),
    from: 0 as ByteOffset,
    position: text.length as ByteOffset,
    evidence,
    closed: null,
  }
}

/** A server that has these, and what it was asked. */
function server(generations: readonly Recalled[], timeMs = 0) {
  const asked: LogPath[] = []
  const recall: Recall = async (paths) => {
    asked.push(...paths)
    return { is: 'told', generations: generations.filter(({ path }) => paths.includes(path)), timeMs }
  }
  const life: Life = { options: { recall }, glob: '*.log*' }
  return { asked, life }
}

test('a file of which the server has bytes goes on in its stream behind them', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, 'take-off\nclimb\ncruise\n')
  const known = held(path, 'take-off\nclimb\n')
  const { life } = server([known])
  await ground.watch(async (watch) => {
    await queued(watch, 7)
    expect(watch.told.named('streamRecalled')).toEqual([[path, known.stream, 15]])
  }, life)
  const [{ records } = { records: [] }, ...others] = await ground.streams()
  expect(others).toEqual([])
  expect(records).toMatchObject([{ stream: known.stream, offset: 15, length: 7 }])
})

test.each([
  ['has other bytes', 'take-off\nCLIMB\ncruise\n'],
  ['is shorter', 'take-off\n'],
])('a file that %s is a new stream', async (_title, text) => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, text)
  const known = held(path, 'take-off\nclimb\n')
  await ground.watch(async (watch) => queued(watch, text.length), server([known]).life)
  const streams = await ground.streams()
  expect(streams.map((stream) => stream.text)).toEqual([text])
  expect(streams[0]?.records[0]?.stream).not.toBe(known.stream)
})

test.each([
  ['is read again', 'beginning', 0],
  ['may be what was passed over, where reading begins at the end', 'end', 15],
] as const)('what stands before all that the server has %s', async (_title, startAt, offset) => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, 'take-off\nclimb\ncruise\n')
  const whole = held(path, 'take-off\nclimb\n')
  const known = { ...whole, from: 7 as ByteOffset, evidence: whole.evidence.slice(1) }
  await ground.watch(
    async (watch) => {
      await queued(watch, 22 - offset)
      expect(watch.told.named('streamRecalled')).toEqual([[path, known.stream, offset]])
    },
    { ...server([known]).life, source: { startAt } },
  )
})

test('a file that was rotated meanwhile is found by its bytes, though two begin alike', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  const [first, second] = [held(path, 'boot\nfirst!'), held(path, 'boot\nsecond flight')]
  await writeFile(`${path}.1`, 'boot\nsecond flight\n')
  await writeFile(`${path}.2`, 'boot\nfirst!\n')
  const { life, asked } = server([second, first])
  await ground.watch(async (watch) => queued(watch, 2), life)
  const records = (await ground.streams()).flatMap((stream) => stream.records)
  const places = records.map((record) => [record.stream, 'offset' in record ? record.offset : -1])
  expect(new Map(places as [StreamId, number][])).toEqual(
    new Map([
      [first.stream, 11],
      [second.stream, 18],
    ]),
  )
  expect(new Set(asked)).toEqual(new Set([path, `${path}.1`, `${path}.2`]))
})

test('two files with the bytes of one stream are not both that stream', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  for (const name of [path, `${path}.1`]) await writeFile(name, 'take-off\nclimb\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 15)
      expect(watch.told.named('streamRecalled')).toHaveLength(1)
    },
    server([held(path, 'take-off\nclimb\n')]).life,
  )
  expect((await ground.texts()).map((stream) => stream.path)).toEqual(['flight.log.1'])
})

test('the chain is numbered by the time of the server, where that is later', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, 'take-off\n')
  const timeMs = realWorld().clock.wallMs() + 1e9
  await ground.watch(async (watch) => {
    await queued(watch, 9)
    expect(watch.queue.head.epoch).toBeGreaterThanOrEqual(firstEpochAt(timeMs))
  }, server([], timeMs).life)
  await appendFile(path, 'climb\n')
  await ground.watch(async (watch) => queued(watch, 15))
  const [{ records } = { records: [] }] = await ground.streams()
  expect(records.map(({ seq }) => seq)).toEqual([0, 1])
})

test.each([
  ['the number of the chain', realWorld().clock.wallMs() + 1e9],
  ['where the file goes on', 0],
])('a disk that refuses to store %s ends nothing, and the next look asks again', async (_what, timeMs) => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, 'take-off\nclimb\ncruise\n')
  const known = held(path, 'take-off\nclimb\n')
  const { promise: isBad, resolve: goOn } = Promise.withResolvers<void>()
  const recall: Recall = () => isBad.then(() => ({ is: 'told', generations: [known], timeMs }))
  await ground.watch(
    async (watch) => {
      watch.disk.failing.set('indexWrite', 'EIO')
      goOn()
      while (watch.capture.troubles.size === 0) await watch.capture.look()
      expect([...watch.capture.troubles]).toEqual([[path, expect.stringContaining('EIO')]])
      watch.disk.failing.clear()
      await queued(watch, 7)
      await watch.capture.look()
      expect(watch.capture.troubles.size).toBe(0)
      expect(watch.told.named('streamRecalled')).toEqual([[path, known.stream, 15]])
    },
    { options: { recall }, glob: '*.log*' },
  )
  expect((await ground.streams()).flatMap(({ records }) => records)).toMatchObject([
    { stream: known.stream, offset: 15, length: 7 },
  ])
})

test('the server is asked once, and not about what the queue knows', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  const { life, asked } = server([])
  await ground.watch(async (watch) => {
    await queued(watch, 4)
    await writeFile(ground.path('b.log'), 'two\n')
    await queued(watch, 8)
  }, life)
  await writeFile(ground.path('c.log'), 'three\n')
  await ground.watch(async (watch) => queued(watch, 14), life)
  expect(asked).toEqual([ground.path('a.log')])
})

/** A link on which nothing comes back. */
const silent: Recall = (_paths, signal) =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve({ is: 'untold', why: 'given up' })))

test('a server that does not answer holds capture up for ten seconds, and no longer', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  const clock = hastyClock(realWorld().clock, 1000)
  const beganMs = clock.monotonicMs()
  await ground.watch(
    async (watch) => {
      await watch.told.told('streamStarted')
      expect(clock.monotonicMs() - beganMs).toBeGreaterThanOrEqual(10_000)
      expect(watch.told.named('streamsUnknown')).toEqual([['given up']])
      await queued(watch, 4)
    },
    { options: { recall: silent }, clock },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'one\n' }])
})

/** Of two records the first was forgotten, and the other stands in a segment of which no index tells. */
async function indexLost(ground: Ground, path: string, waiting: string): Promise<StreamId> {
  let stream = '' as StreamId
  await writeFile(path, 'take-off\n')
  await ground.watch(async (watch) => {
    await queued(watch, 9)
    await appendFile(path, waiting)
    await queued(watch, 9 + waiting.length)
    const batch = await nextBatch(watch.queue, 1, 1)
    stream = batch?.entries[0]?.stream ?? stream
    await watch.queue.forget(batch?.entries ?? [])
  })
  await rm(join(ground.kit.state, 'queue'), { recursive: true })
  return stream
}

test('what still waits in the segments of a lost index is not read again', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  const stream = await indexLost(ground, path, 'climb\n')
  await rename(path, `${path}.1`)
  await appendFile(`${path}.1`, 'cruise\n')
  const known = { ...held(path, 'take-off\n'), stream }
  await ground.watch(
    async (watch) => {
      await watch.told.told('streamRecalled')
      expect(watch.told.named('streamRecalled')).toEqual([[path, stream, 15]])
    },
    server([known]).life,
  )
})

test.each([
  ['shorter than what waits', 'take-off\nland\n'],
  ['longer, with other bytes', 'take-off\nland, and at last\n'],
])('a file that was truncated and refilled, %s in the segments, is a new stream', async (_, refilled) => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  const stream = await indexLost(ground, path, 'climb to 100 m\n')
  await writeFile(path, refilled)
  const known = { ...held(path, 'take-off\n'), stream }
  await ground.watch(async (watch) => queued(watch, 15 + refilled.length), server([known]).life)
  const texts = await ground.texts()
  expect(texts.map(({ text }) => text).toSorted()).toEqual(['take-off\nclimb to 100 m\n', refilled])
})

test.each([
  ['shorter than what the server has', 'take-off\nclimb\nland'],
  ['as long, with other bytes behind what the segments still tell', 'take-off\nclimb\nDESCEND\n'],
])('a file that was truncated, %s, is a new stream', async (_, refilled) => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, 'take-off\n')
  let stream = ''
  await ground.watch(async (watch) => {
    await queued(watch, 9)
    stream = [...watch.queue.resumePoints.keys()][0] ?? ''
  })
  // The segment with the rest of what was sent is gone with the index.
  await rm(join(ground.kit.state, 'queue'), { recursive: true })
  await writeFile(path, refilled)
  const known = { ...held(path, 'take-off\nclimb\ncruise\n'), stream: stream as StreamId }
  await ground.watch(async (watch) => queued(watch, 9 + refilled.length), server([known]).life)
  const texts = await ground.texts()
  expect(texts.map(({ text }) => text).toSorted()).toEqual(['take-off\n', refilled].toSorted())
})

test('a file whose name is not UTF-8 goes on in its stream, and is asked about once', async () => {
  await using ground = await Ground.start()
  const path = Buffer.concat([Buffer.from(ground.path('flight')), Buffer.from([0xff]), Buffer.from('.log')])
  await writeFile(path, 'take-off\nclimb\ncruise\n')
  const known = { ...held(ground.path('flight.log'), 'take-off\nclimb\n'), path: Uint8Array.from(path) }
  const asked: LogPath[] = []
  const recall: Recall = async (paths) => {
    asked.push(...paths)
    return { is: 'told', generations: [known], timeMs: 0 }
  }
  await ground.watch(
    async (watch) => {
      await queued(watch, 7)
      expect(watch.told.named('streamRecalled')).toHaveLength(1)
    },
    { options: { recall } },
  )
  expect(asked).toEqual([Uint8Array.from(path)])
})
