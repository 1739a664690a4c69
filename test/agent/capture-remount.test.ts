import { appendFile, copyFile, rename, unlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { FileFacts, Files } from '../../agent/world.ts'
import { Ground, queued } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

interface Mount {
  device: bigint
}

const moved = (facts: FileFacts, device: bigint): FileFacts => ({ ...facts, device })

/** A card that has another device number after each mount; what was opened before keeps the old one. */
function card(mount: Mount): (real: Files) => Files {
  return (real) => ({
    ...openedAs((file) => {
      const { device } = mount
      return { facts: async () => moved(await file.facts(), device) }
    })(real),
    facts: async (path) => moved(await real.facts(path), mount.device),
  })
}

test('a card that comes back under another device number while its files are followed goes on in their streams', async () => {
  await using ground = await Ground.start()
  const mount: Mount = { device: 1n }
  await writeFile(ground.path('a.log'), 'hello card\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 11)
      mount.device = 2n
      await watch.told.told('streamStarted', 2)
      await appendFile(ground.path('a.log'), 'more\n')
      await queued(watch, 16)
    },
    { files: card(mount), source: { closeAfterMs: 60_000 } },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'hello card\nmore\n' }])
})

test('a deleted file that is still written to is read to its end, though a copy of it comes from another disk', async () => {
  await using ground = await Ground.start()
  const mount: Mount = { device: 1n }
  const [path, away] = [ground.path('a.log'), ground.path('open')]
  await writeFile(path, 'hello\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 6)
      await copyFile(path, away)
      await unlink(path)
      mount.device = 2n
      await rename(away, ground.path('b.log'))
      await queued(watch, 12)
    },
    { files: card(mount), source: { closeAfterMs: 60_000 } },
  )
  expect((await ground.texts()).toSorted((a, b) => (a.path < b.path ? -1 : 1))).toEqual([
    { path: 'a.log', text: 'hello\n' },
    { path: 'b.log', text: 'hello\n' },
  ])
})
