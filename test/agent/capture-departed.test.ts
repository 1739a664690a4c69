import { appendFile, rename, stat, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Capture } from '../../agent/capture/capture.ts'
import { Departed } from '../../agent/capture/departed.ts'
import { Endings } from '../../agent/capture/endings.ts'
import { pathKey } from '../../agent/capture/find-files.ts'
import type { Files } from '../../agent/world.ts'
import { TaskGroup } from '../../agent/task-group.ts'
import { Ground, queued, resting, sourceOf, type Watch } from '../kit/capture-ground.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { openedAs } from '../kit/opened-as.ts'
import { never } from '../kit/queue-kit.ts'

test('a file has as long to come back as the first time, however often it was away', async () => {
  await using ground = await Ground.start()
  const world = fakeWorld()
  await using queue = await ground.kit.open(world)
  const { resume } = await ground.kit.arrival('one\n')
  const device = String((await stat(ground.logs)).dev)
  const point = { ...resume, place: { path: ground.path('a.log') as typeof resume.path, device } }
  await queue.setResumePoint(point)
  const source = sourceOf(['*'], { closeAfterMs: 1000 })
  await using tasks = new TaskGroup()
  const endings = new Endings({ queue, clock: world.clock, patience: never }, world.told.journal, tasks)
  const departed = new Departed(queue, world, () => source, endings)
  await departed.look([point])
  await departed.look([])
  world.clock.advance(5000)
  await departed.look([point])
  expect(queue.resumePoints.size).toBe(1)
  world.clock.advance(1000)
  await departed.look([point])
  await world.told.told('streamEnded')
  expect(queue.resumePoints.size).toBe(0)
})

test('a file that was renamed while the agent was off, and cannot be opened, is not deleted', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  await ground.watch((watch) => queued(watch, 4))
  await rename(ground.path('a.log'), ground.path('b.log'))
  await appendFile(ground.path('b.log'), 'more\n')
  const denied = { times: 0 }
  const denying = (real: Files): Files => ({
    ...real,
    openToRead: async (path) => {
      if (denied.times > 100 || !Buffer.from(path).toString().endsWith('.log')) return real.openToRead(path)
      denied.times++
      throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
    },
  })
  await ground.watch(
    async (watch) => {
      while (denied.times <= 100) await watch.capture.look()
      await queued(watch, 9)
      expect(watch.told.named('streamEnded')).toEqual([])
    },
    { files: denying, source: { closeAfterMs: 1 } },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'one\nmore\n' }])
})

interface Refusal {
  /** What is thrown instead of what the file system says of the file. */
  cause: Error | undefined
  times: number
}

/** A life with a file that was read and moved away from its glob, of which nothing can be asked while there is a cause. */
async function movedAway(
  ground: Ground,
  life: (watch: Watch, refusal: Refusal) => Promise<void>,
): Promise<void> {
  const refusal: Refusal = { cause: undefined, times: 0 }
  let opened = 0
  const files = openedAs((file) => {
    const isFirst = opened++ === 0
    const facts: typeof file.facts = async () => {
      if (!isFirst || !refusal.cause) return file.facts()
      refusal.times++
      throw refusal.cause
    }
    return { facts }
  })
  await writeFile(ground.path('a.log'), 'one\n')
  const moved = async (watch: Watch): Promise<void> => {
    await queued(watch, 4)
    await rename(ground.path('a.log'), ground.path('a.old'))
    while (watch.capture.followed.some(({ isListed }) => isListed)) await watch.capture.look()
    await resting(watch)
    await life(watch, refusal)
  }
  await ground.watch(moved, { files, source: { closeAfterMs: 60_000 } })
}

/** Has files looked for until it holds, or would have long ago. */
async function looks(capture: Capture, holds: () => boolean): Promise<void> {
  for (let count = 0; count < 500 && !holds(); count++) {
    await capture.look()
    capture.closeNow()
  }
}

/** As Node says ESTALE. */
const stale = Object.assign(new Error('stale: injected'), { code: 'Unknown system error -116' })

describe('a file that moved away and cannot be asked about', () => {
  test.each([
    ['it would be let go', 0],
    ['it has a turn', 1],
  ])('when %s is a trouble until it can, not until it is let go', async (_, bytesToCome) => {
    await using ground = await Ground.start()
    await movedAway(ground, async (watch, refusal) => {
      const { capture, told } = watch
      refusal.cause = stale
      for (const generation of capture.followed) capture.hurry(generation, generation.size + bytesToCome)
      expect(await told.told('fileTrouble')).toEqual([ground.path('a.log'), 'stale: injected'])
      await resting(watch)
      refusal.cause = undefined
      await looks(capture, () => capture.troubles.size === 0)
      expect([...capture.troubles]).toEqual([])
      expect(told.named('fileRecovered')).toHaveLength(told.named('fileTrouble').length)
      expect(capture.followed).toHaveLength(1)
    })
  })

  test('is a trouble that lasts, whatever is read of the file that is at its path now', async () => {
    await using ground = await Ground.start()
    await movedAway(ground, async (watch, refusal) => {
      refusal.cause = stale
      await watch.told.told('fileTrouble')
      for (let lines = 1; lines <= 5; lines++) {
        await appendFile(ground.path('a.log'), 'two\n')
        await queued(watch, 4 + 4 * lines)
        const before = refusal.times
        await looks(watch.capture, () => refusal.times >= before + 3)
      }
      expect([...watch.capture.troubles]).toEqual([
        [pathKey(Buffer.from(ground.path('a.log'))), stale.message],
      ])
      // Who reads it may be the one to tell of it, who would let go of it the other.
      expect(watch.told.named('fileTrouble').length).toBeLessThanOrEqual(2)
      expect(watch.told.named('fileRecovered')).toEqual([])
    })
  })

  test('because of a bug ends the capture, and its cause is told', async () => {
    await using ground = await Ground.start()
    const bug = new TypeError('undefined is not a function')
    const ended = movedAway(ground, async ({ capture }, refusal) => {
      refusal.cause = bug
      await looks(capture, () => capture.isStopped)
    })
    await expect(ended).rejects.toBe(bug)
  })
})
