import { appendFile, mkdir, rename, truncate, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { flush } from '../../agent/control/flush.ts'
import type { Running } from '../../agent/control/tell-status.ts'
import { realWorld } from '../../agent/world.ts'
import { Ground, type Life, type Watch } from '../kit/capture-ground.ts'
import { noise } from '../kit/noise.ts'
import { openedAs } from '../kit/opened-as.ts'
import { never } from '../kit/queue-kit.ts'

const size = 30_000
const tight: Life = { queueBytes: 12_000, source: { closeAfterMs: 1 } }

/** A file of which the queue could not take all. */
async function heldUp(ground: Ground, { queue, capture }: Watch, name = 'a.log'): Promise<void> {
  await writeFile(ground.path(name), noise(size))
  while (queue.state.is !== 'full') await capture.look()
}

/** As if a server took what waits. Gives what it was told of lost bytes. */
async function takeAll(ground: Ground, { queue }: Watch): Promise<number[]> {
  const lost: number[] = []
  for (;;) {
    const batch = await queue.take(1 << 20, 100)
    if (!batch) return lost
    for (const { manifest } of await ground.kit.verified(batch))
      if (manifest.kind === 'loss') lost.push(manifest.length ?? 0)
    await queue.forget(batch.entries)
    queue.giveBack(batch)
  }
}

test('a file that is cut, where its path has become too long for a record, does not end capture', async () => {
  await using ground = await Ground.start()
  const deep = Array.from({ length: 11 }, () => 'x'.repeat(200)).join('/')
  await mkdir(ground.path(deep), { recursive: true })
  await mkdir(ground.path('d'))
  await ground.watch(
    async (watch) => {
      await heldUp(ground, watch, 'd/a.log')
      await rename(ground.path('d'), ground.path(`${deep}/d`))
      const path = ground.path(`${deep}/d/a.log`)
      for (let cuts = 0; cuts < 3; cuts++) {
        await truncate(path)
        await watch.capture.look()
        await appendFile(path, 'lost\n')
        await watch.capture.look()
      }
      expect([...watch.capture.troubles.keys()].some((key) => key.endsWith('/d/a.log'))).toBe(true)
    },
    { ...tight, glob: '**/*.log' },
  )
})

test('a size that is smaller once, of a file that no glob leads to any more, cuts nothing short', async () => {
  await using ground = await Ground.start()
  await ground.watch((watch) => heldUp(ground, watch), tight)
  let staleLooks = 1
  const files = openedAs((file) => ({
    facts: async () => {
      const facts = await file.facts()
      return staleLooks-- > 0 ? { ...facts, size: 10 } : facts
    },
  }))
  await ground.watch(async ({ told }) => void (await told.told('streamEnded')), {
    files,
    source: { exclude: ['a.log'] },
  })
  expect(await ground.streams()).toMatchObject([{ text: noise(size), losses: [] }])
})

test('a flush is not done before all that was cut unread is named', async () => {
  await using ground = await Ground.start()
  const cuts = 70
  await ground.watch(
    async (watch) => {
      const { capture, queue, told } = watch
      await heldUp(ground, watch)
      for (let n = 0; n <= cuts; n++) {
        await truncate(ground.path('a.log'))
        await capture.look()
        await appendFile(ground.path('a.log'), n < cuts ? 'lost\n' : 'there\n')
        await capture.look()
      }
      const delivery = { hurry: () => undefined, report: { is: 'idle' } } as unknown as Running['delivery']
      const running = { capture, queue, delivery, version: '', server: '' }
      const world = { ...realWorld(), journal: told.journal }
      for await (const { done } of flush(running, world, 600_000, never)) {
        await takeAll(ground, watch)
        if (done) break
      }
      expect(capture.isEndingStreams).toBe(false)
      const whole = told.named('bytesLost').filter(([, , offset]) => offset === 0)
      const sum = whole.reduce((all, [, , , length]) => all + Number(length), 0)
      // One that came into a chunk before the queue was full again was read.
      expect(sum).toBeGreaterThanOrEqual((cuts - 2) * 5)
    },
    { ...tight, options: { rescanMs: 3_600_000 } },
  )
})
