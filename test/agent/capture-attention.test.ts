import { rename, utimes, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Attention, mostNews } from '../../agent/capture/attention.ts'
import type { Files } from '../../agent/world.ts'
import { Ground } from '../kit/capture-ground.ts'

test('of more news than are remembered, something is taken to have happened everywhere, until the next look', () => {
  const attention = new Attention(() => undefined)
  for (let index = 0; index < mostNews; index++) attention.hear(`/logs/${index}`)
  attention.begin(false)
  expect(attention.isHeard('/logs/7')).toBe(true)
  expect(attention.isHeard('/logs/other')).toBe(false)
  for (let index = 0; index <= mostNews; index++) attention.hear(`/logs/${index}`)
  attention.begin(false)
  expect(attention.isHeard('/logs/other')).toBe(true)
  attention.begin(false)
  expect(attention.isHeard('/logs/7')).toBe(false)
  expect(attention.hasHeard).toBe(false)
})

test('nothing is kept of a file that was too old, and is gone: back again, it is met as any other', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  await writeFile(path, 'old\n')
  await utimes(path, 1_600_000_000, 1_600_000_000)
  let opened = 0
  const counted = (real: Files): Files => ({
    ...real,
    openToRead: (name) => {
      opened++
      return real.openToRead(name)
    },
  })
  await ground.watch(
    async ({ capture }) => {
      await capture.look()
      await capture.look()
      expect(opened).toBe(1)
      await rename(path, ground.path('a.away'))
      await capture.look()
      await rename(ground.path('a.away'), path)
      await capture.look()
      expect(opened).toBe(2)
    },
    { files: counted, source: { ignoreOlderMs: 1000 } },
  )
})
