import { appendFile, rename, unlink, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { FileFacts, Files } from '../../agent/world.ts'
import { Ground, queued, queuedBytes, type Life, type Watch } from '../kit/capture-ground.ts'
import { heldUp, tightQueue } from '../kit/full-queue.ts'
import { saidFacts } from '../kit/said-facts.ts'
import { Seeded } from '../kit/seeded.ts'

/** A card without times of birth: its files have these numbers after a mount. */
const numbered = (numbers: Record<string, bigint>): Life => ({
  glob: '*',
  files: saidFacts((facts, path): FileFacts => {
    const name = path.slice(path.lastIndexOf('/') + 1)
    return { ...facts, birthNs: 0n, inode: numbers[name] ?? facts.inode }
  }),
})

const header = 'FMT '.repeat(3000)
const zeros = '\0'.repeat(8192)
const unlike = (seed: number, bytes: number): string =>
  Buffer.from(new Seeded(seed).bytes(bytes)).toString('base64').slice(0, bytes)

/** Path and content of each stream, by path. */
async function found(ground: Ground): Promise<(readonly [string, string])[]> {
  const streams = await ground.streams()
  expect(streams.flatMap(({ losses }) => losses)).toEqual([])
  return streams.map(({ path, text }) => [path, text] as const).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

const first = { '1.BIN': 100n, '2.BIN': 101n }

describe.each([
  ['exchanged', { '1.BIN': 101n, '2.BIN': 100n }],
  ['moved on by one', { '1.BIN': 101n, '2.BIN': 102n }],
])('two files whose inode numbers a mount has %s', (_, after) => {
  test.each([
    ['text', 'text', ''],
    ['flight logs that begin alike', 'binary', ''],
    ['flight logs that begin alike and end in the same zeros', 'binary', zeros],
  ] as const)('go on in their streams: %s', async (_what, format, tail) => {
    await using ground = await Ground.start()
    const contents = ['first flight', 'second flight, longer'].map((flight) => `${header}${flight}${tail}`)
    const [one = '', two = ''] = contents
    await writeFile(ground.path('1.BIN'), one)
    await writeFile(ground.path('2.BIN'), two)
    const source = { format, closeAfterMs: 60_000 }
    await ground.watch((watch) => queued(watch, one.length + two.length), { ...numbered(first), source })
    for (const name of ['1', '2']) await appendFile(ground.path(`${name}.BIN`), name)
    await ground.watch((watch) => queued(watch, one.length + two.length + 2), { ...numbered(after), source })
    const streams = await found(ground)
    expect(streams.map(([path, text]) => [path, text.length])).toEqual([
      ['1.BIN', one.length + 1],
      ['2.BIN', two.length + 1],
    ])
    expect(streams.map(([, text]) => text)).toEqual([`${one}1`, `${two}2`])
  })

  test('keep them, though little or nothing of them was read', async () => {
    await using ground = await Ground.start()
    const [one, two] = [unlike(1, 30_000), unlike(2, 30_000)]
    await writeFile(ground.path('1.BIN'), one)
    await ground.watch(
      async (watch) => {
        await heldUp(watch, 30_000)
        await writeFile(ground.path('2.BIN'), two)
        await watch.told.told('streamStarted', 2)
      },
      { ...tightQueue, ...numbered(first) },
    )
    await ground.watch((watch) => queued(watch, 60_000), numbered(after))
    expect(await found(ground)).toEqual([
      ['1.BIN', one],
      ['2.BIN', two],
    ])
  })
})

/** The same, but one of the files cannot be opened as long as `isRefused` says so. */
function refusing(life: Life, name: string, isRefused: () => boolean): Life {
  return {
    ...life,
    files: (real) => {
      const files = life.files?.(real) ?? real
      const openToRead: Files['openToRead'] = async (path) => {
        if (!isRefused() || !Buffer.from(path).toString().endsWith(name)) return files.openToRead(path)
        throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
      }
      return { ...files, openToRead }
    },
  }
}

async function look({ capture }: Watch, times: number): Promise<void> {
  for (let looks = 0; looks < times; looks++) await capture.look()
}

test.each([
  ['was read', 20_000_000],
  ['waits unread', 12_000],
])(
  'a file that %s, and cannot be opened when its number is exchanged, keeps its stream',
  async (_, queueBytes) => {
    await using ground = await Ground.start()
    const [one, two] = [unlike(1, 30_000), unlike(2, 30_000)]
    await writeFile(ground.path('1.BIN'), one)
    await ground.watch(
      async (watch) => {
        await (queueBytes > 60_000 ? queued(watch, 30_000) : heldUp(watch, 30_000))
        await writeFile(ground.path('2.BIN'), two)
        await watch.told.told('streamStarted', 2)
        if (queueBytes > 60_000) await queued(watch, 60_000)
      },
      { ...numbered(first), queueBytes },
    )
    let isRefused = true
    await writeFile(ground.path('copy.BIN'), `${two}copy`)
    const after = { '1.BIN': 101n, '2.BIN': 100n }
    await ground.watch(
      async (watch) => {
        await watch.told.told('fileTrouble')
        await queued(watch, 60_004)
        await look(watch, 20)
        isRefused = false
        await appendFile(ground.path('2.BIN'), 'on')
        await queued(watch, 90_006)
        await look(watch, 20)
      },
      refusing({ ...numbered(after), source: { closeAfterMs: 1 } }, '2.BIN', () => isRefused),
    )
    expect(await found(ground)).toEqual([
      ['1.BIN', one],
      ['2.BIN', `${two}on`],
      ['copy.BIN', `${two}copy`],
    ])
  },
)

test('a file that was renamed goes on in its stream, though another has its name and its number', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'before\n')
  await ground.watch((watch) => queued(watch, 7), numbered({ 'a.log': 100n }))
  await rename(ground.path('a.log'), ground.path('z.log'))
  await appendFile(ground.path('z.log'), 'its end\n')
  await writeFile(ground.path('a.log'), 'another, and longer\n')
  await ground.watch((watch) => queued(watch, 35), numbered({ 'a.log': 100n, 'z.log': 101n }))
  const streams = (await ground.streams()).map(({ path, text, losses }) => [path, text, losses])
  expect(streams).toEqual([
    ['a.log', 'another, and longer\n', []],
    ['a.log', 'before\nits end\n', []],
  ])
})

test('a file that has the number of one that is gone is another stream, and what was unread of that is lost', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('1.BIN'), unlike(1, 30_000))
  await ground.watch(async (watch) => void (await heldUp(watch, 30_000)), {
    ...tightQueue,
    ...numbered(first),
  })
  await unlink(ground.path('1.BIN'))
  await writeFile(ground.path('2.BIN'), unlike(2, 40_000))
  const after = { ...numbered({ '2.BIN': 100n }), source: { closeAfterMs: 1 } }
  await ground.watch(async (watch) => {
    const before = queuedBytes(watch.queue)
    await watch.told.told('streamEnded')
    await queued(watch, before + 40_000)
  }, after)
  const streams = await ground.streams()
  const [gone, there] = streams.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  expect(there).toMatchObject({ path: '2.BIN', text: unlike(2, 40_000), losses: [] })
  const read = gone?.text.length ?? 0
  expect(gone).toMatchObject({ path: '1.BIN', losses: [[read, 30_000 - read, 'deleted']] })
})

test('a flight log whose header was rewritten keeps its stream while it has its name and its number', async () => {
  await using ground = await Ground.start()
  const life: Life = { ...numbered(first), source: { format: 'binary', closeAfterMs: 60_000 } }
  await writeFile(ground.path('1.BIN'), `${header}flight`)
  await ground.watch((watch) => queued(watch, header.length + 6), life)
  await writeFile(ground.path('1.BIN'), `SEEN${header.slice(4)}flight on`)
  await ground.watch((watch) => queued(watch, header.length + 9), life)
  expect((await ground.texts()).map(({ path, text }) => [path, text.slice(header.length)])).toEqual([
    ['1.BIN', 'flight on'],
  ])
})
