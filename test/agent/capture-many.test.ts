import { appendFile, mkdir, utimes, writeFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Attention, quietAtOnce } from '../../agent/capture/attention.ts'
import type { Files } from '../../agent/world.ts'
import { Ground, queued, sourceOf, type Life, type Watch } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

/** What the file system was asked, by path. */
class Asked {
  readonly facts = new Map<string, number>()
  readonly listings = new Map<string, number>()
  opens = 0
  reads = 0
  /** Opened at the same time, at most. */
  mostOpening = 0
  #opening = 0

  readonly files = (real: Files): Files => ({
    ...openedAs((file) => ({
      read: (into, position) => (this.reads++, file.read(into, position)),
    }))({
      ...real,
      openToRead: async (path) => {
        this.opens++
        this.mostOpening = Math.max(this.mostOpening, ++this.#opening)
        return real.openToRead(path).finally(() => this.#opening--)
      },
    }),
    facts: (path) => (count(this.facts, path), real.facts(path)),
    entries: (path) => (count(this.listings, path), real.entries(path)),
  })

  clear(): void {
    this.facts.clear()
    this.listings.clear()
  }
}

function count(times: Map<string, number>, path: string | Uint8Array): void {
  const text = Buffer.from(path).toString()
  times.set(text, (times.get(text) ?? 0) + 1)
}

/** So many files of 10 bytes in three folders. */
async function writeMany(ground: Ground, files: number): Promise<string[]> {
  for (const folder of ['a', 'b', 'c']) await mkdir(ground.path(folder))
  const paths = Array.from({ length: files }, (_, index) => ground.path(`${'abc'[index % 3]}/${index}.log`))
  for (const path of paths) await writeFile(path, 'ten bytes\n')
  return paths
}

const everywhere: Life = { glob: '**/*.log' }
/** Nothing of what is there at the start is to be read. */
const standing: Life = { ...everywhere, source: { startAt: 'end' }, options: { rescanMs: 20 } }

/** Looks that leave nothing out, until nothing is new: then all that happened was heard of. */
async function settle({ capture }: Watch): Promise<void> {
  for (let looks = 0; looks < 3; looks++) await capture.look()
}

/** A kernel that takes every watch and never tells anything. */
const silent = (real: Files): Files => ({
  ...real,
  watch: async () => ({ [Symbol.asyncDispose]: async () => undefined }),
})

const nobody = (): undefined => undefined

function dueOf(attention: Attention, all: number): number[] {
  return Array.from({ length: all }, (_, index) => index).filter(() => attention.isDue('files'))
}

describe('of those that may be left out', () => {
  test('each look asks the next thousand, until all had their turn, and then begins anew', () => {
    const attention = new Attention(nobody)
    const asked = [1, 2, 3, 4].map(() => {
      attention.begin(false)
      return dueOf(attention, 2500)
    })
    expect(asked.map(({ length }) => length)).toEqual([1000, 1000, 500, 1000])
    expect(new Set(asked.slice(0, 3).flat()).size).toBe(2500)
    expect(asked[3]).toEqual(asked[0])
  })

  test('a thorough look asks all', () => {
    const attention = new Attention(nobody)
    attention.begin(true)
    expect(dueOf(attention, 2500)).toHaveLength(2500)
  })
})

test('what is heard of while a look goes on is news for the next look, and for that one alone', () => {
  const attention = new Attention(nobody)
  const heard = [1, 2, 3].map((look) => {
    attention.begin(false)
    if (look === 1) attention.hear('/logs/a.log')
    return attention.isHeard('/logs/a.log')
  })
  expect(heard).toEqual([false, true, false])
})

describe('many files that stand still', () => {
  test('are not all asked of at each look, and each is asked of in its turn', async () => {
    await using ground = await Ground.start()
    const paths = await writeMany(ground, quietAtOnce + 500)
    const asked = new Asked()
    await ground.watch(
      async (watch) => {
        await settle(watch)
        asked.clear()
        // Each look asks of the topmost folder once, at its beginning.
        const looks = (): number => asked.facts.get(ground.logs) ?? 0
        while (looks() < 6) await setImmediate()
        const total = paths.reduce((sum, path) => sum + (asked.facts.get(path) ?? 0), 0)
        expect(total).toBeLessThanOrEqual(looks() * quietAtOnce)
        expect(paths.filter((path) => !asked.facts.has(path))).toEqual([])
        expect([...asked.listings.keys()]).toEqual([])
      },
      { ...standing, files: asked.files },
    )
  })

  test('are read on when they grow and nobody is told of it', async () => {
    await using ground = await Ground.start()
    const paths = await writeMany(ground, quietAtOnce + 500)
    await ground.watch(
      async (watch) => {
        await settle(watch)
        for (const path of paths.slice(0, 3)) await appendFile(path, 'more\n')
        for (const path of paths.slice(-3)) await appendFile(path, 'more\n')
        await writeFile(ground.path('a/new.log'), 'new\n')
        await queued(watch, 6 * 5 + 4)
        expect(watch.told.named('streamStarted')).toHaveLength(paths.length + 1)
      },
      { ...standing, files: silent },
    )
  })

  test('and are too old are not opened again', async () => {
    await using ground = await Ground.start()
    const paths = await writeMany(ground, 300)
    for (const path of paths.slice(1)) await utimes(path, 1_600_000_000, 1_600_000_000)
    const asked = new Asked()
    await ground.watch(
      async (watch) => {
        await queued(watch, 10)
        await settle(watch)
        expect(asked.opens).toBe(300)
        expect(watch.capture.followed).toHaveLength(1)
      },
      { ...everywhere, files: asked.files, source: { ignoreOlderMs: 3_600_000 } },
    )
  })

  test('are met several at once, and after a restart their ends are read once each', async () => {
    await using ground = await Ground.start()
    const paths = await writeMany(ground, 200)
    await ground.watch((watch) => queued(watch, paths.length * 10), everywhere)
    const asked = new Asked()
    await ground.watch(
      async (watch) => {
        await settle(watch)
        expect(watch.capture.followed).toHaveLength(200)
      },
      { ...everywhere, files: asked.files },
    )
    expect(asked.mostOpening).toBeGreaterThan(1)
    expect(asked.reads).toBe(200)
  })
})

test('a file at rest keeps nothing of how its records went to the queue, and is read on all the same', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'ten bytes\n')
  await ground.watch(async (watch) => {
    await queued(watch, 10)
    await settle(watch)
    expect(watch.capture.followed).toMatchObject([{ shipping: undefined, chunker: undefined, readTo: 10 }])
    await appendFile(ground.path('a.log'), 'and ten\n')
    await queued(watch, 18)
  })
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'ten bytes\nand ten\n' }])
})

test('files beyond those that may be open are followed without being opened, and each is opened once to be read', async () => {
  await using ground = await Ground.start()
  await writeMany(ground, 200)
  const { promise: goesOn, resolve: goOn } = Promise.withResolvers<void>()
  let opens = 0
  const slow = (real: Files): Files => ({
    ...real,
    openToRead: async (path) => {
      if (++opens > 10) await goesOn
      return real.openToRead(path)
    },
  })
  await ground.watch(
    async (watch) => {
      await watch.told.told('streamStarted', 200)
      // What a look meets that is just being read has another turn: so none is to come meanwhile.
      await settle(watch)
      goOn()
      await queued(watch, 2000)
      // Of the first some were closed before their turn.
      expect(opens).toBeLessThanOrEqual(200 + 10)
    },
    { ...everywhere, files: slow, options: { maxOpenFiles: 8, rescanMs: 3_600_000 } },
  )
  expect(await ground.texts()).toHaveLength(200)
})

test('among many files that are found at once, those of the highest lane are followed first', async () => {
  await using ground = await Ground.start()
  await writeMany(ground, 600)
  await writeFile(ground.path('urgent.log'), 'now\n')
  const sources = [
    sourceOf([ground.path('?/*.log')], { priority: 'low' }),
    sourceOf([ground.path('*.log')], { priority: 'high' }),
  ]
  await ground.watch(
    async (watch) => {
      await queued(watch, 6004)
      const order = watch.told.named('streamStarted').map(([path]) => path)
      // 256 are met before any of them is followed, several at the same time.
      expect(order.slice(0, 256)).toContain(ground.path('urgent.log'))
    },
    { options: { sources } },
  )
})
