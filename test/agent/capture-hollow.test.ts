import { appendFile, rename, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { FileFacts, Files } from '../../agent/world.ts'
import { Ground, queued, resting } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

/** Files that claim to be larger than what can be read of them, as those of sysfs do. */
function hollow(size: number, read: () => void): (real: Files) => Files {
  const claimed = (facts: FileFacts): FileFacts => (facts.isFile ? { ...facts, size } : facts)
  return (real) => ({
    ...openedAs((file) => ({
      read: (into, position) => {
        read()
        return file.read(into, position)
      },
      facts: async () => claimed(await file.facts()),
    }))(real),
    facts: async (path) => claimed(await real.facts(path)),
  })
}

test('a file that is shorter than it says is read to its end, and on when there is more, and rests in between', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  await writeFile(path, 'hello\n')
  let reads = 0
  await ground.watch(
    async (watch) => {
      await queued(watch, 6)
      const before = reads
      for (let looks = 0; looks < 10; looks++) await watch.capture.look()
      await resting(watch)
      expect(reads - before).toBeLessThan(100)
      await appendFile(path, 'more\n')
      await watch.capture.look()
      await queued(watch, 11)
    },
    // Each look has it read once more: here nobody looks but the test.
    { files: hollow(4096, () => void reads++), options: { rescanMs: 3_600_000 } },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'hello\nmore\n' }])
})

test('one that no glob leads to any more is let go, though not all that it claims was ever read', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'hello\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 6)
      await rename(ground.path('a.log'), ground.path('a.old'))
      while (watch.capture.followed.length > 0) await watch.capture.look()
      expect(watch.told.named('streamEnded').at(-1)).toContain('gone')
    },
    { files: hollow(4096, () => undefined) },
  )
  expect(await ground.streams()).toMatchObject([{ text: 'hello\n', losses: [] }])
})

test('nor is it followed once more at each look after a start', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'hello\n')
  const files = hollow(4096, () => undefined)
  await ground.watch((watch) => queued(watch, 6), { files })
  await ground.watch(
    async ({ capture, told }) => {
      while (told.named('streamEnded').length === 0) await capture.look()
      for (let looks = 0; looks < 5; looks++) await capture.look()
      expect(told.named('streamStarted')).toHaveLength(1)
      expect(capture.followed).toEqual([])
    },
    { files, glob: '*.txt' },
  )
  expect(await ground.streams()).toMatchObject([{ text: 'hello\n', losses: [] }])
})
