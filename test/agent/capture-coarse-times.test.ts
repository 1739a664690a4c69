import { writeFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { realWorld } from '../../agent/world.ts'
import { Ground, queued, resting, type Life } from '../kit/capture-ground.ts'
import { atPace, coarseTimes } from '../kit/coarse-times.ts'

const { clock: slow } = atPace(realWorld(), 1 / 20)
const { clock: hasty } = atPace(realWorld(), 3)
/** As on FAT, within two seconds that do not end. */
const inTick: Life = { files: coarseTimes, clock: slow }

test('a text that is written anew in the same tick, with the same size, is another generation', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), '41\n')
  await ground.watch(async (watch) => {
    await queued(watch, 3)
    await writeFile(ground.path('a.log'), '42\n')
    await queued(watch, 6)
  }, inTick)
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['41\n', '42\n'])
})

test('a file rests once it was looked into after the tick in which it was written to', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'ten bytes\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 10)
      while (watch.capture.followed.some(({ isInTick }) => isInTick)) await watch.capture.look()
      const [before] = watch.capture.followed.map(({ turnsEnded }) => turnsEnded)
      await watch.capture.look()
      expect(watch.capture.followed.map(({ turnsEnded, turn }) => [turnsEnded, turn])).toEqual([
        [before, 'none'],
      ])
    },
    { files: coarseTimes, clock: hasty },
  )
})

test('a binary file is closed once that tick is over', async () => {
  await using ground = await Ground.start()
  await ground.watch(
    async ({ told, capture }) => {
      await writeFile(ground.path('a.log'), 'flight')
      await told.told('fileClosed')
      expect(capture.followed.map(({ isClosedAsItStands }) => isClosedAsItStands)).toEqual([true])
    },
    { files: coarseTimes, clock: hasty, source: { format: 'binary' } },
  )
  expect((await ground.streams()).map(({ closes }) => closes)).toEqual([[6]])
})

test('a binary file is closed within that tick only where a flush asks for it', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'flight')
  await ground.watch(
    async (watch) => {
      await queued(watch, 6)
      for (let count = 0; count < 5; count++) {
        await resting(watch)
        watch.capture.closeNow()
        await setImmediate()
      }
      watch.capture.cutNow()
      watch.capture.closeNow()
      await watch.told.told('fileClosed')
      expect(watch.capture.followed.map(({ isClosedAsItStands }) => isClosedAsItStands)).toEqual([false])
    },
    { ...inTick, options: { rescanMs: 3_600_000 }, source: { format: 'binary', closeAfterMs: 0 } },
  )
  expect((await ground.streams()).map(({ closes }) => closes)).toEqual([[6]])
})
