import { appendFile, rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { resumeKey } from '../../agent/queue/index-entry.ts'
import { IndexStore } from '../../agent/queue/index-store.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { SeenSizes } from '../../agent/queue/seen-sizes.ts'
import { OneByOne } from '../../agent/queue/one-by-one.ts'
import { realWorld } from '../../agent/world.ts'
import { Ground, type Watch } from '../kit/capture-ground.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { heldUp, tightQueue } from '../kit/full-queue.ts'
import { noise } from '../kit/noise.ts'
import { nextBatch, QueueKit } from '../kit/queue-kit.ts'

const seenIn = ({ resumePoints }: Queue): number | undefined => [...resumePoints.values()][0]?.seenBytes

/** Resolves once the queue is full and what it has stored says that the file was so large. */
async function sizeStored(watch: Watch, size: number): Promise<void> {
  await heldUp(watch, size)
  while (seenIn(watch.queue) !== size) await watch.capture.look()
}

/** A log that grows from 30,000 to 40,000 bytes while the queue is full. */
async function grownWhileFull(watch: Watch, path: string): Promise<void> {
  await writeFile(path, noise(30_000))
  await sizeStored(watch, 30_000)
  await appendFile(path, noise(10_000))
  await sizeStored(watch, 40_000)
}

test('what a log grew by while the queue was full is lost with a record, though the agent was killed', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  await ground.watch(async (watch) => {
    await grownWhileFull(watch, path)
    // Nothing that is stored from here on would be, had it been killed.
    watch.disk.failing.set('indexWrite', 'EIO')
    watch.disk.failing.set('write', 'EIO')
  }, tightQueue)
  await rm(path)
  await ground.watch(async ({ told }) => void (await told.told('streamEnded')))
  const [stream] = await ground.streams()
  const read = stream?.text.length ?? 0
  expect(stream?.losses).toEqual([[read, 40_000 - read, 'deleted']])
})

test('a record that had waited for room takes nothing back of what was seen meanwhile', async () => {
  await using ground = await Ground.start()
  await ground.watch(async (watch) => {
    await grownWhileFull(watch, ground.path('a.log'))
    const [before] = watch.queue.resumePoints.values()
    const batch = await nextBatch(watch.queue, 1 << 20, 1)
    await watch.queue.forget(batch?.entries ?? [])
    while ([...watch.queue.resumePoints.values()][0]?.position === before?.position)
      await watch.capture.look()
    expect(seenIn(watch.queue)).toBe(40_000)
  }, tightQueue)
})

test('sizes are stored with one write a second, however often they are told', async () => {
  await using kit = await QueueKit.start()
  const clock = new FakeClock()
  const { resume } = await kit.arrival('queued\n')
  const resumePoints = new Map([[resume.stream, resume]])
  await using index = await IndexStore.open(() => realWorld().openIndex(kit.state))
  const sizes = new SeenSizes({ index, resumePoints }, clock, new OneByOne())
  const stored: (number | undefined)[] = []
  for (const size of [500, 600, 700, 800]) {
    sizes.saw(resume.stream, size)
    await sizes.store()
    stored.push(resumePoints.get(resume.stream)?.seenBytes)
    clock.advance(500)
  }
  expect(stored).toEqual([500, 500, 700, 700])
  expect(await index.get(resumeKey(resume.stream))).toContain('"seenBytes":700')
})
