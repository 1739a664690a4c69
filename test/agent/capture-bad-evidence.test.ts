import { appendFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground, queued } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

/** A disk whose first page goes bad. */
class Disk {
  isBad = false
  readonly files = openedAs((file) => ({
    read: async (into, position) => {
      if (this.isBad && position < 4096) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
      return file.read(into, position)
    },
  }))
}

const first = 'x'.repeat(999) + '\n'
const more = ('y'.repeat(99) + '\n').repeat(100)

/** What is lost, and what stands behind the page that cannot be read. */
const told = async (ground: Ground): Promise<unknown> =>
  (await ground.streams()).map(({ losses, text }) => [losses, text.slice(4096)])
const readOn = [[[[1000, 3096, 'unreadable']], (first + more).slice(4096)]]

test('a file whose last bytes shipped stand in a page that goes bad is read on behind it', async () => {
  await using ground = await Ground.start()
  const disk = new Disk()
  await ground.watch(async (watch) => {
    await writeFile(ground.path('a.log'), first)
    await queued(watch, 1000)
    disk.isBad = true
    await appendFile(ground.path('a.log'), more)
    await queued(watch, 7904)
  }, disk)
  expect(await told(ground)).toEqual(readOn)
})

test('so is one whose page went bad while the agent was off', async () => {
  await using ground = await Ground.start()
  const disk = new Disk()
  await writeFile(ground.path('a.log'), first)
  await ground.watch((watch) => queued(watch, 1000), disk)
  await appendFile(ground.path('a.log'), more)
  disk.isBad = true
  await ground.watch((watch) => queued(watch, 7904), disk)
  expect(await told(ground)).toEqual(readOn)
})

test('one byte proves nothing: a file that was refilled is another, though it has the head and the last byte of the one before', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  const head = 'FMT BATT\n'.repeat(200)
  const old = `${head}${'old\n'.repeat(100)}`
  await writeFile(path, old)
  await ground.watch(async (watch) => {
    await queued(watch, old.length)
    await appendFile(path, '#')
    await queued(watch, old.length + 1)
  })
  const next = `${head}${'new\n'.repeat(100)}#${'more\n'.repeat(10)}`
  await writeFile(path, next)
  await ground.watch((watch) => queued(watch, old.length + 1 + next.length))
  const texts = (await ground.streams()).map(({ text }) => text)
  expect(texts).toEqual([next, `${old}#`])
})
