import { appendFile, chmod, open, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { Ground, queued, type Life } from '../kit/capture-ground.ts'
import { drain, firstLoss, heldUp, tightQueue } from '../kit/full-queue.ts'
import { noise } from '../kit/noise.ts'
import { openedAs } from '../kit/opened-as.ts'

/** With one system call: a file that is truncated first may be seen truncated. */
async function overwrite(path: string, text: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.write(Buffer.from(text), 0, text.length, 0)
}

describe('what was seen and is gone before it was read', () => {
  test('is lost to the byte when the file is truncated while the queue is full', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, noise(30_000))
    await ground.watch(async (watch) => {
      const readTo = await heldUp(watch, 30_000)
      await truncate(path, 0)
      const [from, to, why] = await firstLoss(watch)
      expect([why, to]).toEqual(['truncated', 30_000])
      expect(from).toBeGreaterThanOrEqual(readTo)
    }, tightQueue)
  })

  test('is not what another content had that came meanwhile', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, noise(30_000))
    await ground.watch(async (watch) => {
      await heldUp(watch, 30_000)
      await overwrite(path, 'another\n'.repeat(5000))
      for (let look = 0; look < 3; look++) await watch.capture.look()
      const [, to, why] = await firstLoss(watch)
      expect([why, to]).toEqual(['overwritten', 30_000])
    }, tightQueue)
  })

  test('is lost when the file is deleted while the agent is off, and its state ends', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, noise(30_000))
    let readTo = 0
    await ground.watch(async (watch) => void (readTo = await heldUp(watch, 30_000)), tightQueue)
    await rm(path)
    await ground.watch(async ({ told, queue }) => {
      expect(await told.told('streamEnded')).toContain('deleted')
      expect(queue.resumePoints.size).toBe(0)
    })
    const [stream] = await ground.streams()
    const offset = stream?.text.length ?? 0
    expect(stream?.losses).toEqual([[offset, 30_000 - offset, 'deleted']])
    expect(offset).toBeLessThanOrEqual(readTo)
  })

  test('is lost when the file is overwritten while the agent is off', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, noise(30_000))
    await ground.watch(async (watch) => void (await heldUp(watch, 30_000)), tightQueue)
    await truncate(path, 0)
    await writeFile(path, 'x'.repeat(30_000))
    await ground.watch((watch) => queued(watch, 30_000 + 4096))
    const losses = (await ground.streams()).flatMap((stream) =>
      stream.losses.map(([offset, length, reason]) => [
        offset === stream.text.length,
        offset + Number(length),
        reason,
      ]),
    )
    expect(losses).toEqual([[true, 30_000, 'overwritten']])
  })

  test('is nothing when all that was seen was read: then no loss is told', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'read\n')
    await ground.watch(async (watch) => {
      await queued(watch, 5)
      await truncate(ground.path('a.log'), 0)
      await watch.told.told('streamEnded')
    })
    expect((await ground.streams()).flatMap(({ losses }) => losses)).toEqual([])
  })

  test('of a file that was cut short behind what was read is read as far as it is still there', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    const text = noise(30_000)
    await writeFile(path, text)
    await ground.watch(async (watch) => {
      await heldUp(watch, 30_000)
      await truncate(path, 25_000)
      expect(await firstLoss(watch)).toEqual([25_000, 30_000, 'truncated'])
      // What is left is another stream, which needs room for all of it before anybody can stop.
      while (![...watch.queue.resumePoints.values()].some(({ position }) => position === 25_000))
        await drain(watch)
    }, tightQueue)
  })
})

describe('a refill is another generation', () => {
  test('of the same size, while the agent runs', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'first\n')
    await ground.watch(async (watch) => {
      await queued(watch, 6)
      await writeFile(ground.path('a.log'), 'again\n')
      await queued(watch, 12)
    })
    expect((await ground.texts()).map(({ text }) => text)).toEqual(['again\n', 'first\n'])
  })

  test('of a greater size, seen only when it is done, while the agent runs', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'the first flight\n')
    await ground.watch(async (watch) => {
      await queued(watch, 17)
      await overwrite(ground.path('a.log'), 'another flight, and longer\n')
      await queued(watch, 17 + 27)
      expect(watch.told.named('bytesLost')).toEqual([])
    })
    expect((await ground.texts()).map(({ text }) => text)).toEqual([
      'another flight, and longer\n',
      'the first flight\n',
    ])
  })

  test('even when what was read of it is still in memory', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'first\n')
    const slowly: Life = { options: { chunks: { maxBytes: 4096, catchUpBytes: 4096, maxAgeMs: 60_000 } } }
    await ground.watch(async (watch) => {
      while (watch.capture.followed[0]?.readTo !== 6) await watch.capture.look()
      await writeFile(ground.path('a.log'), 'second and longer\n')
      await queued(watch, 6)
      await watch.told.told('streamStarted', 2)
    }, slowly)
    expect((await ground.texts()).map(({ text }) => text)).toEqual(['first\n', 'second and longer\n'])
  })
})

test('a file that nobody may read is named, and read once it may be', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'secret\n')
  let isForbidden = true
  const files: NonNullable<Life['files']> = (real) => ({
    ...real,
    openToRead: async (path) => {
      if (isForbidden) throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
      return real.openToRead(path)
    },
  })
  await ground.watch(
    async (watch) => {
      await watch.told.told('fileTrouble')
      await watch.capture.look()
      await watch.capture.look()
      expect(watch.told.named('fileTrouble')).toHaveLength(1)
      isForbidden = false
      await queued(watch, 7)
    },
    { files },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'secret\n' }])
})

test('a file that was renamed out of every glob and back goes on in its stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'before\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 7)
      await rename(ground.path('a.log'), ground.path('a.old'))
      while (watch.capture.followed[0]?.isListed === true) await watch.capture.look()
      await appendFile(ground.path('a.old'), 'meanwhile\n')
      await rename(ground.path('a.old'), ground.path('a.log'))
      await queued(watch, 17)
    },
    { source: { closeAfterMs: 60_000 } },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'before\nmeanwhile\n' }])
})

test('a stale size that NFS tells once ends nothing', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'before\n')
  const stale = { looks: 0 }
  const files = openedAs((file) => ({
    facts: async () => {
      const facts = await file.facts()
      return stale.looks-- === 1 ? { ...facts, size: 3 } : facts
    },
  }))
  await ground.watch(
    async (watch) => {
      await queued(watch, 7)
      stale.looks = 1
      await chmod(ground.path('a.log'), 0o600)
      while (stale.looks > 0) await watch.capture.look()
      await appendFile(ground.path('a.log'), 'after\n')
      await queued(watch, 13)
    },
    { files },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'before\nafter\n' }])
})
