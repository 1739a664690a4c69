import { appendFile, copyFile, link, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { FileFacts, Files, Path } from '../../agent/world.ts'
import { Ground, queued, type Life } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

/** A file system without times of birth, on which every mount gives the files other inodes, as FAT does. */
function cardMounted(mount: bigint): Life {
  const remade = (facts: FileFacts): FileFacts =>
    facts.isFile ? { ...facts, birthNs: 0n, inode: facts.inode * 1000n + mount } : facts
  const files = (real: Files): Files => ({
    ...openedAs((file) => ({ facts: async () => remade(await file.facts()) }))(real),
    facts: async (path: Path) => remade(await real.facts(path)),
  })
  return { files }
}

const bin = 'FMT '.repeat(3000)

describe('on a card without lasting identities', () => {
  test('a file is known by its path and content', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'before\n')
    await ground.watch((watch) => queued(watch, 7), cardMounted(1n))
    await appendFile(ground.path('a.log'), 'after\n')
    await ground.watch((watch) => queued(watch, 13), cardMounted(2n))
    expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'before\nafter\n' }])
  })

  test('a file that was renamed meanwhile is known by its content', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'before\n')
    await ground.watch((watch) => queued(watch, 7), cardMounted(1n))
    await rename(ground.path('a.log'), ground.path('b.log'))
    await appendFile(ground.path('b.log'), 'after\n')
    await ground.watch((watch) => queued(watch, 13), cardMounted(2n))
    expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'before\nafter\n' }])
  })

  test('two files that begin with the same 12 KB stay two, and each goes on in its own stream', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('1.log'), `${bin}first flight`)
    await writeFile(ground.path('2.log'), `${bin}second flight`)
    await ground.watch((watch) => queued(watch, 24_025), cardMounted(1n))
    await appendFile(ground.path('2.log'), ', landed')
    await ground.watch((watch) => queued(watch, 24_033), cardMounted(2n))
    expect((await ground.texts()).map(({ path, text }) => [path, text.slice(bin.length)])).toEqual([
      ['1.log', 'first flight'],
      ['2.log', 'second flight, landed'],
    ])
  })

  test('a copy of a file, with more behind it, is not taken for that file, whichever is met first', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('5.log'), bin)
    await ground.watch((watch) => queued(watch, 12_000), cardMounted(1n))
    for (const name of ['1', '9']) await writeFile(ground.path(`${name}.log`), `${bin}copy`)
    await appendFile(ground.path('5.log'), 'on')
    await ground.watch((watch) => queued(watch, 12_002 + 2 * 12_004), cardMounted(2n))
    const found = (await ground.texts()).map(({ path, text }) => `${path} ${text.slice(bin.length)}`)
    expect(found.toSorted()).toEqual(['1.log copy', '5.log on', '9.log copy'])
  })

  test('a copy of a file that is followed, with more behind it, is another stream', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('5.log'), bin)
    await ground.watch(async (watch) => {
      await queued(watch, 12_000)
      await writeFile(ground.path('9.log'), `${bin}copy`)
      await queued(watch, 24_004)
      await appendFile(ground.path('5.log'), 'on')
      await queued(watch, 24_006)
    }, cardMounted(1n))
    const found = (await ground.texts()).map(({ path, text }) => `${path} ${text.slice(bin.length)}`)
    expect(found.toSorted()).toEqual(['5.log on', '9.log copy'])
  })

  test('another file that begins alike, in the place of one that was deleted, is another stream', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('1.log'), `${bin}first flight`)
    await ground.watch((watch) => queued(watch, 12_012), cardMounted(1n))
    await writeFile(ground.path('1.log'), `${bin}other flight, longer`)
    await ground.watch((watch) => queued(watch, 24_032), cardMounted(2n))
    expect((await ground.texts()).map(({ text }) => text.slice(bin.length))).toEqual([
      'first flight',
      'other flight, longer',
    ])
  })
})

test('two live files with the same content are two streams, whatever comes behind', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), bin)
  await copyFile(ground.path('a.log'), ground.path('b.log'))
  await ground.watch(async (watch) => {
    await queued(watch, 24_000)
    await appendFile(ground.path('a.log'), 'a')
    await appendFile(ground.path('b.log'), 'b')
    await queued(watch, 24_002)
  })
  expect((await ground.texts()).map(({ path, text }) => [path, text.slice(bin.length)])).toEqual([
    ['a.log', 'a'],
    ['b.log', 'b'],
  ])
})

test('a link that is set to another file: the old one is read to its end, the new one from its beginning', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('t1'), 'one\n')
  await writeFile(ground.path('t2'), 'two\n')
  await symlink(ground.path('t1'), ground.path('current.log'))
  await ground.watch(
    async (watch) => {
      await queued(watch, 4)
      await symlink(ground.path('t2'), ground.path('next'))
      await rename(ground.path('next'), ground.path('current.log'))
      await queued(watch, 8)
      await appendFile(ground.path('t1'), 'one more\n')
      await queued(watch, 17)
    },
    { source: { closeAfterMs: 60_000 } },
  )
  expect(await ground.texts()).toEqual([
    { path: 'current.log', text: 'one\none more\n' },
    { path: 'current.log', text: 'two\n' },
  ])
})

test('growth of a linked file in another folder is heard of, not waited for', async () => {
  await using ground = await Ground.start()
  const elsewhere = await ground.kit.folder('elsewhere')
  await writeFile(`${elsewhere}/t`, 'one\n')
  await symlink(`${elsewhere}/t`, ground.path('current.log'))
  await ground.watch(
    async (watch) => {
      await queued(watch, 4)
      await watch.capture.look()
      await appendFile(`${elsewhere}/t`, 'two\n')
      await queued(watch, 8)
    },
    { options: { rescanMs: 3_600_000 } },
  )
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['one\ntwo\n'])
})

test('a hard link that goes leaves the stream as it is', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  await link(ground.path('a.log'), ground.path('b.log'))
  await ground.watch(async (watch) => {
    await queued(watch, 4)
    await unlink(ground.path('a.log'))
    await appendFile(ground.path('b.log'), 'two\n')
    await queued(watch, 8)
  })
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['one\ntwo\n'])
})

/** How the stream ended, and what is left of its state. */
async function forgotten(ground: Ground, life: Life = {}): Promise<{ why: unknown; points: number }> {
  const seen = { why: undefined as unknown, points: -1 }
  await ground.watch(async ({ told, queue }) => {
    seen.why = (await told.told('streamEnded'))[2]
    seen.points = queue.resumePoints.size
  }, life)
  return seen
}

describe('a file that is nowhere', () => {
  test('is forgotten, its folder with it', async () => {
    await using ground = await Ground.start()
    const folder = await ground.kit.folder('logs/flight')
    await writeFile(`${folder}/a.log`, 'one\n')
    const deep: Life = { glob: '**/*.log' }
    await ground.watch((watch) => queued(watch, 4), deep)
    await rm(folder, { recursive: true })
    expect(await forgotten(ground, deep)).toEqual({ why: 'deleted', points: 0 })
  })

  test.each([
    [
      'another file system is in the place of its folder',
      (facts: FileFacts): FileFacts => ({ ...facts, device: 99n }),
    ],
    [
      'its folder cannot be read',
      (): FileFacts => {
        throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
      },
    ],
  ])('is not forgotten while %s', async (_, folderFacts) => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'one\n')
    await ground.watch((watch) => queued(watch, 4))
    await rm(ground.path('a.log'))
    const seen = { looks: 0 }
    const files = (real: Files): Files => ({
      ...real,
      facts: async (path) => {
        const facts = await real.facts(path)
        if (basename(Buffer.from(path).toString()) !== 'logs') return facts
        seen.looks++
        return folderFacts(facts)
      },
    })
    await ground.watch(
      async ({ capture, queue, told }) => {
        while (seen.looks < 300) await capture.look()
        expect(told.named('streamEnded')).toEqual([])
        expect(queue.resumePoints.size).toBe(1)
      },
      { files, source: { closeAfterMs: 1 } },
    )
    expect(await forgotten(ground)).toEqual({ why: 'deleted', points: 0 })
  })
})
