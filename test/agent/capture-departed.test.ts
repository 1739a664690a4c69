import { appendFile, rename, stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Departed } from '../../agent/capture/departed.ts'
import { Endings } from '../../agent/capture/endings.ts'
import type { Files } from '../../agent/world.ts'
import { TaskGroup } from '../../agent/task-group.ts'
import { Ground, queued, sourceOf } from '../kit/capture-ground.ts'
import { fakeWorld } from '../kit/fake-world.ts'
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
