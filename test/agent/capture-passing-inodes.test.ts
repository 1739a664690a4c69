import { appendFile, rename, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { FileFacts, Files } from '../../agent/world.ts'
import { Ground, queued, resting, type Life } from '../kit/capture-ground.ts'
import { heldUp, tightQueue } from '../kit/full-queue.ts'
import { openedAs } from '../kit/opened-as.ts'
import { saidFacts } from '../kit/said-facts.ts'
import { Seeded } from '../kit/seeded.ts'

/** A file system that knows times of birth, and gives inodes their numbers as it comes by them: exFAT, and FAT by now. */
interface Card {
  mount: bigint
}

/** While somebody has a file open, the kernel keeps its number. */
function card(at: Card): (real: Files) => Files {
  const held = new Map<string, { mount: bigint; handles: number }>()
  const told = (facts: FileFacts, path: string): FileFacts => {
    const mount = held.get(path)?.mount ?? at.mount
    return { ...facts, inode: facts.inode * 1000n + mount }
  }
  const holding = openedAs((file, path) => {
    const hold = held.get(path) ?? { mount: at.mount, handles: 0 }
    hold.handles++
    held.set(path, hold)
    return {
      [Symbol.asyncDispose]: async () => {
        if (--hold.handles === 0) held.delete(path)
        await file[Symbol.asyncDispose]()
      },
    }
  })
  return (real) => saidFacts(told)(holding(real))
}

const unlike = (bytes: number): string =>
  Buffer.from(new Seeded(3).bytes(bytes)).toString('base64').slice(0, bytes)

const refused = (): Error => Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })

describe('where inodes have other numbers after each mount, and times of birth are kept', () => {
  test.each(['text', 'binary'] as const)('a %s file goes on in its stream', async (format) => {
    await using ground = await Ground.start()
    const life = { source: { format } }
    await writeFile(ground.path('a.log'), 'before\n')
    await writeFile(ground.path('b.log'), 'other\n')
    await ground.watch((watch) => queued(watch, 13), { ...life, files: card({ mount: 1n }) })
    await appendFile(ground.path('a.log'), 'after\n')
    await rename(ground.path('b.log'), ground.path('c.log'))
    await appendFile(ground.path('c.log'), 'name\n')
    await ground.watch((watch) => queued(watch, 24), { ...life, files: card({ mount: 2n }) })
    expect(await ground.texts()).toEqual([
      { path: 'a.log', text: 'before\nafter\n' },
      { path: 'b.log', text: 'other\nname\n' },
    ])
  })

  test('a file that nobody holds open goes on in its stream when the kernel numbers it anew', async () => {
    await using ground = await Ground.start()
    const at: Card = { mount: 1n }
    let handles = 8
    await writeFile(ground.path('a.log'), 'before\n')
    await ground.watch(
      async (watch) => {
        await queued(watch, 7)
        handles = 1
        await writeFile(ground.path('b.log'), 'takes the handle\n')
        await queued(watch, 24)
        at.mount = 2n
        await watch.told.told('streamStarted', 3)
        await appendFile(ground.path('a.log'), 'after\n')
        await queued(watch, 30)
      },
      { files: card(at), mostOpenFiles: () => handles },
    )
    expect(await ground.texts()).toEqual([
      { path: 'a.log', text: 'before\nafter\n' },
      { path: 'b.log', text: 'takes the handle\n' },
    ])
  })

  test('of a file that could not be opened yet nothing is said to be deleted', async () => {
    await using ground = await Ground.start()
    const content = unlike(30_000)
    await writeFile(ground.path('a.log'), content)
    await ground.watch((watch) => heldUp(watch, content.length).then(() => undefined), {
      ...tightQueue,
      files: card({ mount: 1n }),
    })
    let isRefused = true
    const again: Life = {
      source: { closeAfterMs: 1 },
      files: (real) => ({
        ...card({ mount: 2n })(real),
        openToRead: async (path) => {
          if (isRefused) throw refused()
          return card({ mount: 2n })(real).openToRead(path)
        },
      }),
    }
    await ground.watch(async (watch) => {
      await watch.told.told('fileTrouble')
      for (let looks = 0; looks < 20; looks++) await watch.capture.look()
      isRefused = false
      await queued(watch, content.length)
      await resting(watch)
    }, again)
    const [stream, ...more] = await ground.streams()
    expect(more).toEqual([])
    expect(stream?.losses).toEqual([])
  })

  test('files that wait unread and unopened behind a full queue keep their streams when they are numbered anew', async () => {
    await using ground = await Ground.start()
    const at: Card = { mount: 1n }
    const life: Life = { source: { closeAfterMs: 1 }, files: card(at), mostOpenFiles: () => 4 }
    await writeFile(ground.path('a.log'), unlike(30_000))
    const names = ['b', 'c', 'd', 'e', 'f', 'g'].map((name) => `${name}.log`)
    await ground.watch(
      async (watch) => {
        await heldUp(watch, 30_000)
        for (const name of names) await writeFile(ground.path(name), name)
        await watch.told.told('streamStarted', 7)
        at.mount = 2n
        for (let looks = 0; looks < 20; looks++) await watch.capture.look()
      },
      { ...tightQueue, ...life },
    )
    await ground.watch((watch) => queued(watch, 30_000 + 6 * 5), life)
    const streams = await ground.streams()
    expect(streams.map(({ path }) => path).toSorted()).toEqual(['a.log', ...names])
    expect(streams.flatMap(({ losses }) => losses)).toEqual([])
  })
})
