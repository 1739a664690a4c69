import { appendFile, truncate, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { Files } from '../../agent/world.ts'
import { Ground, queued, type Life, type Watch } from '../kit/capture-ground.ts'
import { noise } from '../kit/noise.ts'

const size = 30_000
const tight: Life = { queueBytes: 12_000, source: { closeAfterMs: 1 } }

/** Two chunks. */
const buffered = 2 * 4096

/** A file of which the queue could not take all. Its turn waits for a buffer, and sees nothing of what becomes of the file. */
async function heldUp(ground: Ground, { queue, capture }: Watch): Promise<void> {
  await writeFile(ground.path('a.log'), noise(size))
  const isWaiting = (): boolean =>
    queue.state.is === 'full' &&
    capture.followed.every(({ readTo, queuedTo }) => readTo - queuedTo === buffered)
  while (!isWaiting()) await capture.look()
}

/** It is there for a look, and gone before it is read. */
async function passThrough(ground: Ground, { capture }: Watch, text: string): Promise<void> {
  await truncate(ground.path('a.log'))
  await capture.look()
  await appendFile(ground.path('a.log'), text)
  await capture.look()
}

/** As if a server took everything. `heard` is given what the data records hold. */
async function makeRoomUntil(
  ground: Ground,
  { queue, capture }: Watch,
  isEnough: () => boolean,
  heard: (content: string) => void,
): Promise<void> {
  while (!isEnough()) {
    const batch = await queue.take(1 << 20, 100)
    for (const { content } of batch ? await ground.kit.verified(batch) : [])
      heard(Buffer.from(content ?? []).toString('latin1'))
    if (batch) await queue.forget(batch.entries)
    if (batch) queue.giveBack(batch)
    await capture.look()
  }
}

/** The lengths of what was lost as a whole. */
async function lostWhole(ground: Ground): Promise<(number | null)[]> {
  const losses = (await ground.streams()).flatMap((stream) => stream.losses)
  return losses.flatMap(([offset, length]) => (offset === 0 ? [length] : []))
}

test('a size that is smaller once, while the queue is full, cuts nothing short', async () => {
  await using ground = await Ground.start()
  let isStale = false
  /** Tells a size once that was true before, as NFS may. */
  const files = (real: Files): Files => ({
    ...real,
    facts: async (path) => {
      const facts = await real.facts(path)
      if (!isStale || !facts.isFile) return facts
      isStale = false
      return { ...facts, size: 10 }
    },
  })
  await ground.watch(
    async (watch) => {
      await heldUp(ground, watch)
      isStale = true
      await watch.capture.look()
      expect(isStale).toBe(false)
      expect(watch.capture.followed.map(({ endsAt }) => endsAt)).toEqual([Infinity])
    },
    { ...tight, files },
  )
  await ground.watch((watch) => queued(watch, size))
  expect(await ground.streams()).toMatchObject([{ text: noise(size), losses: [] }])
})

test('of more generations than can wait for their records, the lengths are in one', async () => {
  await using ground = await Ground.start()
  const texts = Array.from({ length: 70 }, () => 'lost\n')
  await ground.watch(async (watch) => {
    await heldUp(ground, watch)
    for (const text of texts) await passThrough(ground, watch, text)
    await passThrough(ground, watch, 'there\n')
    expect(watch.queue.resumePoints.size).toBeLessThanOrEqual(65)
    const lost = (): readonly number[] =>
      watch.told.named('bytesLost').flatMap(([, , offset, length]) => (offset === 0 ? [Number(length)] : []))
    const sum = (): number => lost().reduce((all, length) => all + length, 0)
    const bytes = texts.join('').length
    // One that came into a chunk before the queue was full again was read.
    let read = 0
    const hear = (content: string): unknown => (read += content.split('lost\n').length * 5 - 5)
    await makeRoomUntil(ground, watch, () => sum() + read >= bytes, hear)
    expect(sum() + read).toBe(bytes)
    expect(sum()).toBeGreaterThan(0)
    expect(lost().length).toBeLessThanOrEqual(65)
  }, tight)
})

test('the record of a generation waits through a restart', async () => {
  await using ground = await Ground.start()
  await ground.watch(async (watch) => {
    await heldUp(ground, watch)
    await passThrough(ground, watch, 'lost\n')
    await passThrough(ground, watch, 'there\n')
    while (watch.queue.resumePoints.size < 2) await watch.capture.look()
  }, tight)
  await ground.watch(async ({ told }) => void (await told.told('streamEnded', 2)), {
    source: { closeAfterMs: 1 },
  })
  expect(await lostWhole(ground)).toEqual([5])
})
