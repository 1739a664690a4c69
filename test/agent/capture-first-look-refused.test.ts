import { appendFile, utimes, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Files } from '../../agent/world.ts'
import { Ground, queued, type Life } from '../kit/capture-ground.ts'

test('files that were there before the agent count so although the disk refused its first look', async () => {
  await using ground = await Ground.start()
  const before = 'before the agent\n'
  await writeFile(ground.path('a.log'), before)
  await ground.watch(
    async (watch) => {
      watch.disk.failing.set('indexWrite', 'ENOSPC')
      await watch.told.told('fileTrouble')
      watch.disk.failing.clear()
      await watch.told.told('streamStarted')
      await appendFile(ground.path('a.log'), 'new\n')
      await queued(watch, 4)
    },
    { source: { startAt: 'end' } },
  )
  const [stream] = await ground.streams()
  expect(stream?.records[0]).toMatchObject({ offset: before.length })
})

test('of a file that is too old at the first look nothing is passed over: all of it is read once it is written to', async () => {
  await using ground = await Ground.start()
  for (const name of ['a', 'b']) await writeFile(ground.path(`${name}.log`), 'old\n')
  await utimes(ground.path('a.log'), 1_600_000_000, 1_600_000_000)
  await ground.watch(
    async (watch) => {
      await watch.told.told('streamStarted')
      await watch.capture.look()
      for (const name of ['a', 'b']) await appendFile(ground.path(`${name}.log`), 'new\n')
      await queued(watch, 12)
    },
    { source: { startAt: 'end', ignoreOlderMs: 3_600_000 } },
  )
  const found = (await ground.streams()).map(({ path, text }) => [path, text.replaceAll('\0', '')])
  expect(found).toEqual([
    ['b.log', 'new\n'],
    ['a.log', 'old\nnew\n'],
  ])
})

const refusing = (isRefused: () => boolean): Life => ({
  source: { startAt: 'end' },
  files: (real): Files => ({
    ...real,
    openToRead: async (path) => {
      if (!isRefused()) return real.openToRead(path)
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
    },
  }),
})

describe('what stood in a file that could not be opened at the first look is passed over', () => {
  test('and what was appended until it could be is not', async () => {
    await using ground = await Ground.start()
    let isRefused = true
    await writeFile(ground.path('a.log'), 'old\n')
    await ground.watch(
      async (watch) => {
        await watch.told.told('fileTrouble')
        await appendFile(ground.path('a.log'), 'new\n')
        await writeFile(ground.path('b.log'), 'all of it is new\n')
        await watch.capture.look()
        isRefused = false
        await queued(watch, 21)
      },
      refusing(() => isRefused),
    )
    const found = (await ground.streams()).map(({ path, text }) => [path, text.replaceAll('\0', '')])
    expect(found).toEqual([
      ['a.log', 'new\n'],
      ['b.log', 'all of it is new\n'],
    ])
  })

  test('also in the next life of the agent, unless it was emptied meanwhile', async () => {
    await using ground = await Ground.start()
    for (const name of ['a', 'b']) await writeFile(ground.path(`${name}.log`), 'stood there before\n')
    await ground.watch(
      async ({ told }) => void (await told.told('fileTrouble', 2)),
      refusing(() => true),
    )
    await writeFile(ground.path('b.log'), 'written anew\n')
    await ground.watch(
      async (watch) => {
        await watch.told.told('streamStarted', 2)
        await appendFile(ground.path('a.log'), 'new\n')
        await queued(watch, 17)
      },
      refusing(() => false),
    )
    const found = (await ground.streams()).map(({ path, text }) => [path, text.replaceAll('\0', '')])
    expect(found).toEqual([
      ['a.log', 'new\n'],
      ['b.log', 'written anew\n'],
    ])
  })
})
