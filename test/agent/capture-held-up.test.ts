import { appendFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { Ground, queued, type Life, type Watch } from '../kit/capture-ground.ts'
import { Seeded } from '../kit/seeded.ts'

const noise = (bytes: number): string =>
  Buffer.from(new Seeded(3).bytes(bytes)).toString('base64').slice(0, bytes)

/** Not even a loss record fits in beside what the queue has after a life that was tight. */
const tighter: Life = { queueBytes: 5000 }
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

/** With a queue that is full. */
async function cutWhileOff(): Promise<Ground> {
  const ground = await Ground.start()
  await writeFile(ground.path('a.log'), noise(30_000))
  await ground.watch(full, tight)
  await truncate(ground.path('a.log'))
  return ground
}

describe('a file that was cut while no agent ran, and whose loss record waits for room', () => {
  test('is followed meanwhile, and holds up no look', async () => {
    await using ground = await cutWhileOff()
    await appendFile(ground.path('a.log'), 'begun anew\n')
    await ground.watch(async (watch) => {
      await full(watch)
      await writeFile(ground.path('c.log'), 'new\n')
      await watch.capture.look()
      expect(watch.told.named('streamStarted')).toHaveLength(2)
    }, tighter)
    await ground.watch(async ({ told, ...watch }) => {
      await told.told('streamEnded')
      await queued(watch, 8192 + 15)
    })
    const [, second, first] = (await ground.streams()).toSorted((a, b) => a.text.length - b.text.length)
    expect(second).toMatchObject({ path: 'a.log', text: 'begun anew\n', losses: [] })
    expect(first).toMatchObject({ path: 'a.log', losses: [[8192, 30_000 - 8192, 'truncated']] })
  })

  test('is not let go before that is stored', async () => {
    await using ground = await cutWhileOff()
    await writeFile(ground.path('b.log'), '')
    const ofShort: Life = { source: { closeAfterMs: 1 } }
    await ground.watch(
      async (watch) => {
        await full(watch)
        await rename(ground.path('a.log'), ground.path('a.away'))
        await rename(ground.path('b.log'), ground.path('b.away'))
        while (watch.told.named('streamEnded').length === 0) {
          await watch.capture.look()
          watch.capture.closeNow()
        }
        // Of the one that was let go, and of the one that was cut.
        expect(watch.queue.resumePoints.size).toBe(2)
      },
      { ...tighter, ...ofShort },
    )
    await rename(ground.path('a.away'), ground.path('a.log'))
    await ground.watch(async ({ told }) => void (await told.told('bytesLost')), ofShort)
    const [first] = await ground.streams()
    expect(first?.losses).toEqual([[8192, 30_000 - 8192, 'truncated']])
  })
})
