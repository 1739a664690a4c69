import { appendFile, copyFile, link, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground, queued } from '../kit/capture-ground.ts'

test('a restart goes on where the last run stopped, in the same stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\ntwo')
  await ground.watch((watch) => queued(watch, 7))
  await appendFile(ground.path('a.log'), ' and three\n')
  await ground.watch((watch) => queued(watch, 18))
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'one\ntwo and three\n' }])
})

test('what was read and not cut when the agent stops is queued', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'no newline')
  await ground.watch(async ({ told }) => void (await told.told('streamStarted')))
  await ground.watch(async ({ told }) => void (await told.told('streamStarted')))
  await ground.watch((watch) => queued(watch, 10))
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'no newline' }])
})

test('a file that was renamed while the agent was off goes on in its stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'before\n')
  await ground.watch((watch) => queued(watch, 7))
  await rename(ground.path('a.log'), ground.path('a.1.log'))
  await appendFile(ground.path('a.1.log'), 'after\n')
  await writeFile(ground.path('a.log'), 'new file\n')
  await ground.watch((watch) => queued(watch, 22))
  expect(await ground.texts()).toEqual([
    { path: 'a.log', text: 'before\nafter\n' },
    { path: 'a.log', text: 'new file\n' },
  ])
})

test('a file that was renamed while the agent runs goes on in its stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'before\n')
  await ground.watch(async (watch) => {
    await queued(watch, 7)
    await rename(ground.path('a.log'), ground.path('a.1.log'))
    await appendFile(ground.path('a.1.log'), 'after\n')
    await writeFile(ground.path('a.log'), 'new file\n')
    await queued(watch, 22)
  })
  expect(await ground.texts()).toEqual([
    { path: 'a.log', text: 'before\nafter\n' },
    { path: 'a.log', text: 'new file\n' },
  ])
})

test('a file that was truncated and written anew while the agent was off begins a new stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'the first flight\n')
  await ground.watch((watch) => queued(watch, 17))
  await truncate(ground.path('a.log'), 0)
  await appendFile(ground.path('a.log'), 'another flight, and longer\n')
  await ground.watch((watch) => queued(watch, 17 + 27))
  expect(await ground.texts()).toEqual([
    { path: 'a.log', text: 'another flight, and longer\n' },
    { path: 'a.log', text: 'the first flight\n' },
  ])
})

test('a file that is truncated while the agent runs begins a new stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'the first flight\n')
  await ground.watch(async (watch) => {
    await queued(watch, 17)
    await truncate(ground.path('a.log'), 0)
    await watch.told.told('streamEnded')
    await appendFile(ground.path('a.log'), 'next\n')
    await queued(watch, 22)
  })
  expect((await ground.streams()).map(({ text }) => text)).toEqual(['next\n', 'the first flight\n'])
})

test('another file in place of the one that was read begins a new stream, even if it begins alike', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'header\nfirst\n')
  await ground.watch((watch) => queued(watch, 13))
  await copyFile(ground.path('a.log'), ground.path('copy'))
  await rm(ground.path('a.log'))
  await rename(ground.path('copy'), ground.path('a.log'))
  await appendFile(ground.path('a.log'), 'second\n')
  await ground.watch((watch) => queued(watch, 13 + 20))
  expect((await ground.streams()).map(({ text }) => text)).toEqual([
    'header\nfirst\n',
    'header\nfirst\nsecond\n',
  ])
})

test('a file under several names is one stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'once\n')
  await symlink(ground.path('a.log'), ground.path('symbolic.log'))
  await link(ground.path('a.log'), ground.path('hard.log'))
  await ground.watch(async (watch) => {
    await queued(watch, 5)
    await watch.capture.look()
    await appendFile(ground.path('hard.log'), 'more\n')
    await queued(watch, 10)
    expect(watch.capture.followed).toHaveLength(1)
  })
  expect((await ground.streams()).map(({ text }) => text)).toEqual(['once\nmore\n'])
})

test('a file that is deleted while it is read is read to its end, then let go', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'x'.repeat(50_000))
  await ground.watch(async (watch) => {
    await watch.told.told('streamStarted')
    await rm(ground.path('a.log'))
    await queued(watch, 50_000)
    expect(await watch.told.told('streamEnded')).toContain('deleted')
    expect(watch.queue.resumePoints.size).toBe(0)
  })
  expect((await ground.streams()).map(({ text }) => text.length)).toEqual([50_000])
})

test('what is no file is passed over: a folder, a pipe, a link to nothing', async () => {
  await using ground = await Ground.start()
  await ground.kit.folder('logs/folder.log')
  await symlink('/nowhere', ground.path('dangling.log'))
  await symlink('/dev/zero', ground.path('device.log'))
  await writeFile(ground.path('a.log'), 'a file\n')
  await ground.watch(async (watch) => {
    await queued(watch, 7)
    await watch.capture.look()
    expect(watch.capture.followed).toHaveLength(1)
    expect([...watch.capture.troubles]).toEqual([])
  })
})

test('many files of all sizes are carried at once, each of them whole', async () => {
  await using ground = await Ground.start()
  const texts = Array.from({ length: 60 }, (_, index) => `${index}:`.repeat(1 + index * 40))
  await Promise.all(texts.map((text, index) => writeFile(ground.path(`${index}.log`), text)))
  const total = texts.reduce((sum, text) => sum + text.length, 0)
  await ground.watch((watch) => queued(watch, total))
  const found = (await ground.streams()).map(({ text }) => text)
  expect(found).toEqual(texts.toSorted((a, b) => (a < b ? -1 : 1)))
})
