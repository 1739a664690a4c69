import { appendFile, rename, unlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { FileFacts } from '../../agent/world.ts'
import { Ground, queued, type Watch } from '../kit/capture-ground.ts'
import { saidFacts } from '../kit/said-facts.ts'

/** No times of birth, and whatever flight log is there has the one inode that is free. */
const oneInode = saidFacts((facts, path): FileFacts => {
  const inode = path.endsWith('.BIN') ? 7n : facts.inode
  return { ...facts, birthNs: 0n, inode }
})

const header = 'FMT '.repeat(1000)
const flight = (number: number, length = 5000): string =>
  `${header}flight ${number} `.padEnd(length, `${number}`)

/** What becomes of a flight log that was read, and whose handle another file has by now, after `change`. */
async function streamsAfter(
  change: (ground: Ground) => Promise<void>,
  more: number,
): Promise<{ path: string; text: string }[]> {
  await using ground = await Ground.start()
  let handles = 8
  await writeFile(ground.path('1.BIN'), flight(1))
  const life = async (watch: Watch): Promise<void> => {
    await queued(watch, 5000)
    handles = 1
    await writeFile(ground.path('other.txt'), 'other')
    await queued(watch, 5005)
    await change(ground)
    await queued(watch, 5005 + more)
  }
  const source = { format: 'binary', closeAfterMs: 60_000 } as const
  await ground.watch(life, { glob: '*', source, files: oneInode, mostOpenFiles: () => handles })
  const streams = await ground.texts()
  return streams.filter(({ path }) => path !== 'other.txt').toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

test.each([
  ['is longer', 9000],
  ['is as long', 5000],
  ['is shorter', 4500],
])('a file that gets the inode of a deleted one, and %s, has a stream of its own', async (_, length) => {
  const streams = await streamsAfter(async (ground) => {
    await unlink(ground.path('1.BIN'))
    await writeFile(ground.path('2.BIN'), flight(2, length))
  }, length)
  expect(streams).toEqual([
    { path: '1.BIN', text: flight(1) },
    { path: '2.BIN', text: flight(2, length) },
  ])
})

test('so has one that gets its name, too', async () => {
  const streams = await streamsAfter(async (ground) => {
    await unlink(ground.path('1.BIN'))
    await writeFile(ground.path('1.BIN'), flight(2, 9000))
  }, 9000)
  expect(streams.map(({ path, text }) => [path, text.length])).toEqual([
    ['1.BIN', 5000],
    ['1.BIN', 9000],
  ])
})

test('one with the same end is told by all that proves it, where it has another name', async () => {
  const streams = await streamsAfter(async (ground) => {
    await unlink(ground.path('1.BIN'))
    await writeFile(ground.path('2.BIN'), `another head${flight(1).slice(12)}`)
  }, 5000)
  expect(streams.map(({ path }) => path)).toEqual(['1.BIN', '2.BIN'])
})

test('a file that was renamed while nobody held it open goes on in its stream', async () => {
  const streams = await streamsAfter(async (ground) => {
    await rename(ground.path('1.BIN'), ground.path('2.BIN'))
    await appendFile(ground.path('2.BIN'), 'landed')
  }, 6)
  expect(streams).toEqual([{ path: '1.BIN', text: `${flight(1)}landed` }])
})
