import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { realWorld } from '../../agent/world.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { watchSyncs } from '../kit/watched-syncs.ts'

test('what the agent syncs on the real disk, a file or a folder, is synced by the kernel before it goes on', async () => {
  await using folder = await tempFolder()
  const { files } = realWorld()
  const synced: string[] = []
  using _watch = await watchSyncs(async (path, sync) => {
    await sync()
    synced.push(relative(folder.path, path))
  })

  await using segment = await files.create(join(folder.path, 'segment'))
  await segment.write([Buffer.from('x')], 0)
  expect(synced).toEqual([])
  await segment.sync()
  expect(synced).toEqual(['segment'])
  await files.syncDirectory(folder.path)
  expect(synced).toEqual(['segment', ''])
})
