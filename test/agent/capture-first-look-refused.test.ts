import { appendFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground, queued } from '../kit/capture-ground.ts'

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
