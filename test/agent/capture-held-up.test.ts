import { rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground, type Life, type Watch } from '../kit/capture-ground.ts'
import { Seeded } from '../kit/seeded.ts'

const noise = (bytes: number): string =>
  Buffer.from(new Seeded(3).bytes(bytes)).toString('base64').slice(0, bytes)

const tight: Life = { queueBytes: 12_000, source: { closeAfterMs: 1 } }

async function full({ queue, capture }: Watch): Promise<void> {
  while (queue.state.is !== 'full') await capture.look()
}

test('a deletion that waits for room in the queue holds up no look, and has its record when there is room', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), noise(30_000))
  await ground.watch(full, tight)
  await rm(ground.path('a.log'))
  await writeFile(ground.path('b.log'), noise(30_000))
  await ground.watch(async (watch) => {
    const { capture, told } = watch
    await full(watch)
    for (let looks = 0; looks < 5; looks++) await capture.look()
    await writeFile(ground.path('c.log'), 'new\n')
    await capture.look()
    expect(told.named('streamStarted')).toHaveLength(2)
  }, tight)
  await ground.watch(async ({ told }) => void (await told.told('streamEnded')), {
    source: { closeAfterMs: 1 },
  })
  const deleted = (await ground.streams()).find(({ path }) => path === 'a.log')
  const read = deleted?.text.length ?? 0
  expect(deleted?.losses).toEqual([[read, 30_000 - read, 'deleted']])
})
