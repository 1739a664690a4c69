import { appendFile, truncate, utimes, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Clock } from '../../agent/clock.ts'
import { realWorld, type Files } from '../../agent/world.ts'
import { Ground, queued, resting, type Life } from '../kit/capture-ground.ts'
import { changedFile } from '../kit/changed-file.ts'
import { openedAs } from '../kit/opened-as.ts'

const failure = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code })

/** Files whose handles are counted, of which the system gives only so many. */
function countedHandles(most: number): {
  readonly life: Life
  readonly seen: { open: number; most: number; refused: number }
} {
  const seen = { open: 0, most: 0, refused: 0 }
  const files = (real: Files): Files => ({
    ...real,
    openToRead: async (path) => {
      if (seen.open >= most) {
        seen.refused++
        throw failure('EMFILE')
      }
      seen.open++
      seen.most = Math.max(seen.most, seen.open)
      const file = await real.openToRead(path)
      return changedFile(file, { [Symbol.asyncDispose]: () => (seen.open--, file[Symbol.asyncDispose]()) })
    },
  })
  return { life: { files }, seen }
}

describe('many files', () => {
  test('are all followed with few handles', async () => {
    await using ground = await Ground.start()
    const { life, seen } = countedHandles(1000)
    for (let index = 0; index < 100; index++) await writeFile(ground.path(`${index}.log`), `file ${index}\n`)
    await ground.watch(
      async (watch) => {
        await queued(watch, 790)
        for (let index = 0; index < 100; index++) await appendFile(ground.path(`${index}.log`), 'more\n')
        await queued(watch, 1290)
        expect(watch.capture.followed).toHaveLength(100)
      },
      { ...life, options: { maxOpenFiles: 8 } },
    )
    // And those that are being opened at the same time.
    expect(seen.most).toBeLessThanOrEqual(8 + 4)
    expect(await ground.texts()).toHaveLength(100)
  })

  test('are closed as soon as fewer handles are theirs', async () => {
    await using ground = await Ground.start()
    const { life, seen } = countedHandles(1000)
    let most = 40
    for (let index = 0; index < 40; index++) await writeFile(ground.path(`${index}.log`), 'one\n')
    await ground.watch(
      async (watch) => {
        await queued(watch, 160)
        await resting(watch)
        expect(seen.open).toBe(40)
        most = 8
        await appendFile(ground.path('0.log'), 'two\n')
        await queued(watch, 164)
        expect(seen.open).toBe(8)
      },
      { ...life, mostOpenFiles: () => most },
    )
  })

  test('are read in fewer turns at once as soon as fewer handles are theirs', async () => {
    await using ground = await Ground.start()
    const { life, seen } = countedHandles(1000)
    let most = 64
    await ground.watch(
      async (watch) => {
        await watch.capture.look()
        most = 4
        for (let index = 0; index < 40; index++)
          await writeFile(ground.path(`${index}.log`), 'x'.repeat(20_000))
        await queued(watch, 800_000)
        // Whose turns did not follow would have sixteen open.
        expect(seen.most).toBeLessThanOrEqual(2 * most)
      },
      { ...life, mostOpenFiles: () => most },
    )
  })

  test('are all read once, and none counts as deleted, when the system has no handles left', async () => {
    await using ground = await Ground.start()
    const { life, seen } = countedHandles(10)
    for (let index = 0; index < 60; index++) await writeFile(ground.path(`${index}.log`), `file ${index}\n`)
    await ground.watch(async (watch) => {
      await queued(watch, 470)
      for (let look = 0; look < 10; look++) await watch.capture.look()
      expect(watch.told.named('streamEnded')).toEqual([])
    }, life)
    expect(seen.refused).toBeGreaterThan(0)
    const texts = (await ground.texts()).map(({ text }) => text)
    expect(texts).toEqual(Array.from({ length: 60 }, (_, index) => `file ${index}\n`).toSorted())
  })

  test('with a backlog do not hold up a small one: it comes while each of them is still being read', async () => {
    await using ground = await Ground.start()
    // Holes: so much that no disk is slow enough in making the small one for it to be read.
    const backlog = 400_000_000
    for (let index = 0; index < 4; index++) {
      await writeFile(ground.path(`big${index}.log`), '')
      await truncate(ground.path(`big${index}.log`), backlog)
    }
    await ground.watch(
      async (watch) => {
        await queued(watch, 40_000)
        await writeFile(ground.path('urgent.log'), 'now\n')
        const urgent = (): number => watch.capture.followed.find(({ size }) => size === 4)?.queuedTo ?? 0
        while (urgent() < 4) await watch.capture.look()
        const unread = watch.capture.followed.map(({ readTo }) => readTo < backlog)
        expect(unread).toEqual([true, true, true, true, true])
      },
      // One file at a time.
      { options: { maxOpenFiles: 2 } },
    )
  })
})

const withoutWatches = (real: Files): Files => ({
  ...real,
  watch: async () => {
    throw failure('ENOSPC')
  },
})

test('a kernel without watches to give: the rescan finds what is new, and the sysctl is named', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 4)
      await appendFile(ground.path('a.log'), 'two\n')
      await queued(watch, 8)
      expect(watch.capture.watchTrouble).toContain('fs.inotify.max_user_watches')
      expect(watch.told.named('watchTrouble')).toHaveLength(1)
    },
    { files: withoutWatches },
  )
})

test('a file whose beginning cannot be stored is named, and followed once it can be', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  await ground.watch(async (watch) => {
    watch.disk.failing.set('indexWrite', 'ENOSPC')
    expect(await watch.told.told('fileTrouble')).toContain('ENOSPC: injected, indexWrite')
    watch.disk.failing.clear()
    await queued(watch, 4)
  })
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'one\n' }])
})

test('what follows a truncation is read at once, and shipped when the end of what was before can be stored', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'first\n')
  await ground.watch(async (watch) => {
    await queued(watch, 6)
    watch.disk.failing.set('indexWrite', 'ENOSPC')
    await writeFile(ground.path('a.log'), 'next\n')
    await watch.told.told('streamStarted', 2)
    while (watch.capture.followed[0]?.readTo !== 5) await watch.capture.look()
    // It is in memory: what happens to the file does not matter any more.
    await writeFile(ground.path('a.log'), '')
    watch.disk.failing.clear()
    await queued(watch, 11)
  })
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['first\n', 'next\n'])
})

/** A disk that cannot read some pages. */
const badPages = (isBad: (page: number) => boolean): Life => ({
  files: openedAs((file) => ({
    read: (into, position) => {
      for (let page = Math.floor(position / 4096); page * 4096 < position + into.length; page++) {
        if (!isBad(page)) continue
        // As the kernel does: what stands before it is given.
        if (page * 4096 <= position) throw failure('EIO')
        return file.read(into.subarray(0, page * 4096 - position), position)
      }
      return file.read(into, position)
    },
  })),
})

const slowly = (clock: Clock): Clock => ({ ...clock, monotonicMs: () => clock.monotonicMs() / 20 })

describe('pages that the disk cannot read', () => {
  test('are lost, in one record for those that stand together, and what is behind is read', async () => {
    await using ground = await Ground.start()
    const text = Array.from({ length: 10 }, (_, page) => String(page).repeat(4096)).join('')
    await writeFile(ground.path('a.log'), text)
    await ground.watch(
      (watch) => queued(watch, 7 * 4096),
      badPages((page) => page === 3 || page === 4 || page === 8),
    )
    const [stream] = await ground.streams()
    expect(stream?.losses).toEqual([
      [3 * 4096, 8192, 'unreadable'],
      [8 * 4096, 4096, 'unreadable'],
    ])
    expect(stream?.text.slice(5 * 4096, 8 * 4096)).toBe(text.slice(5 * 4096, 8 * 4096))
    expect(stream?.text.slice(9 * 4096)).toBe(text.slice(9 * 4096))
  })

  test('are not given up for failures that follow one another at once', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'x'.repeat(9000))
    let failures = 0
    await ground.watch(
      async (watch) => {
        const bad = Array.from({ length: 8 }, () => watch.capture.look())
        await Promise.all(bad)
        await queued(watch, 9000)
      },
      // However long they take: to the agent it is no time.
      { ...badPages((page) => page === 1 && failures++ < 8), clock: slowly(realWorld().clock) },
    )
    expect(await ground.streams()).toMatchObject([{ text: 'x'.repeat(9000), losses: [] }])
  })

  test('that can be read the next time are not lost', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'x'.repeat(9000))
    let failures = 0
    await ground.watch(
      (watch) => queued(watch, 9000),
      badPages((page) => page === 1 && failures++ < 2),
    )
    expect(await ground.streams()).toMatchObject([{ text: 'x'.repeat(9000), losses: [] }])
  })
})

describe('files that are there at the first start', () => {
  test('are read from their end where that is wanted; later ones, and a later start, from their beginning', async () => {
    await using ground = await Ground.start()
    const life: Life = { source: { startAt: 'end' } }
    await writeFile(ground.path('a.log'), 'old\n')
    await ground.watch(async (watch) => {
      await watch.told.told('streamStarted')
      await appendFile(ground.path('a.log'), 'new\n')
      await writeFile(ground.path('b.log'), 'later\n')
      await queued(watch, 10)
    }, life)
    await writeFile(ground.path('c.log'), 'while it was off\n')
    await ground.watch((watch) => queued(watch, 27), life)
    expect((await ground.texts()).map(({ path, text }) => [path, text])).toEqual([
      ['a.log', '\0\0\0\0new\n'],
      ['b.log', 'later\n'],
      ['c.log', 'while it was off\n'],
    ])
  })

  test('that are too old are left alone, until they are written to: then all of them is read', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'old\n')
    await utimes(ground.path('a.log'), 1_600_000_000, 1_600_000_000)
    await writeFile(ground.path('b.log'), 'fresh\n')
    await ground.watch(
      async (watch) => {
        await queued(watch, 6)
        await watch.capture.look()
        expect(watch.capture.followed).toHaveLength(1)
        await appendFile(ground.path('a.log'), 'live\n')
        await queued(watch, 15)
      },
      { source: { ignoreOlderMs: 3_600_000 } },
    )
    expect((await ground.texts()).map(({ text }) => text)).toEqual(['fresh\n', 'old\nlive\n'])
  })

  test('that seemed too old by a clock that was ahead are read once it is right', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'fresh\n')
    const { clock } = realWorld()
    let aheadMs = 365 * 86_400_000
    await ground.watch(
      async (watch) => {
        await watch.capture.look()
        expect(watch.capture.followed).toEqual([])
        aheadMs = 0
        await queued(watch, 6)
      },
      {
        clock: { ...clock, wallMs: () => clock.wallMs() + aheadMs },
        source: { ignoreOlderMs: 3_600_000 },
      },
    )
  })
})
