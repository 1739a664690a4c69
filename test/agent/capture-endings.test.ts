import { rm, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Ended } from '../../agent/capture/ending.ts'
import { Endings } from '../../agent/capture/endings.ts'
import { pathKey } from '../../agent/capture/find-files.ts'
import type { Journal } from '../../agent/journal.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { TaskGroup } from '../../agent/task-group.ts'
import { Ground, queued, type Watch } from '../kit/capture-ground.ts'
import { fakeWorld, type FakeWorld } from '../kit/fake-world.ts'
import { overridable } from '../kit/overridable.ts'
import { never } from '../kit/queue-kit.ts'

/** The end of a stream of which four bytes are known that nobody read. */
async function deletedUnread(ground: Ground, queue: Queue): Promise<Ended> {
  const { resume, label } = await ground.kit.arrival('one\n')
  const point = { ...resume, seenBytes: resume.position + 4 }
  await queue.setResumePoint(point)
  return { label, lane: 'normal', point, why: 'deleted' }
}

interface Scene {
  readonly world: FakeWorld
  readonly queue: Queue
  readonly tasks: TaskGroup
  readonly endings: Endings
  readonly ended: Ended
}

async function ending(work: (scene: Scene) => Promise<void>, change: Partial<Journal> = {}): Promise<void> {
  await using ground = await Ground.start()
  const world = fakeWorld()
  await using queue = await ground.kit.open(world)
  const ended = await deletedUnread(ground, queue)
  const tasks = new TaskGroup()
  const journal = Object.assign(overridable(world.told.journal), change)
  const endings = new Endings({ queue, clock: world.clock, patience: never }, journal, tasks)
  await work({ world, queue, tasks, endings, ended })
}

test('a disk that refuses the end of a stream is named with its file, and is enough once it recovers', () =>
  ending(async ({ world, queue, tasks, endings, ended }) => {
    world.disk.failing.set('indexWrite', 'ENOSPC')
    endings.end(ended)
    const [path, why] = await world.told.told('fileTrouble')
    expect([path, why]).toEqual(['/var/log/flight/autopilot.log', 'ENOSPC: injected, indexWrite'])
    const key = pathKey(Buffer.from('/var/log/flight/autopilot.log'))
    expect([...endings.troubles.byPath.keys()]).toEqual([key])
    world.disk.failing.clear()
    await world.clock.skip()
    expect(await world.told.told('bytesLost')).toEqual([path, ended.label.stream, 4, 4, 'deleted'])
    await tasks.ended()
    expect(endings.troubles.byPath.size).toBe(0)
    expect(queue.resumePoints.size).toBe(0)
  }))

describe('a bug in ending a stream', () => {
  const bug = new TypeError('undefined is not a function')
  const broken: Partial<Journal> = {
    bytesLost: () => {
      throw bug
    },
  }

  test('is no disk to be asked again: it ends the work, and its cause is told', () =>
    ending(async ({ endings, tasks, ended }) => {
      endings.end(ended)
      await expect(tasks.ended()).rejects.toBe(bug)
    }, broken))

  test('keeps nobody waiting who waits for the end', () =>
    ending(async ({ endings, tasks, ended }) => {
      const next = { path: Buffer.from('/a.log'), stored: undefined as Promise<boolean> | undefined }
      endings.replace(ended.label.stream, async () => ended, next as never)
      expect(await next.stored).toBe(false)
      await expect(tasks.ended()).rejects.toBe(bug)
    }, broken))
})

const troublesOf = ({ capture }: Watch): string[] => [...capture.troubles.values()]

describe('a disk that refuses', () => {
  test('the end of a file that was deleted while it was open is named, until it takes it', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'one\n')
    await ground.watch(async (watch) => {
      await queued(watch, 4)
      await rm(ground.path('a.log'))
      // Its close record is stored; before its stream ends its file is asked about once more.
      await watch.told.told('fileClosed')
      watch.disk.failing.set('indexWrite', 'EROFS')
      await watch.told.told('fileTrouble')
      expect(troublesOf(watch)).toEqual(['EROFS: injected, indexWrite'])
      watch.disk.failing.clear()
      await watch.told.told('streamEnded')
      await watch.told.told('fileRecovered')
      expect(troublesOf(watch)).toEqual([])
    })
  })

  test('the end of a file that was deleted while the agent was off is named, until it takes it', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'one\n')
    await ground.watch((watch) => queued(watch, 4))
    await rm(ground.path('a.log'))
    await ground.watch(async (watch) => {
      watch.disk.failing.set('indexWrite', 'EROFS')
      await watch.told.told('fileTrouble')
      expect(troublesOf(watch)).toEqual(['EROFS: injected, indexWrite'])
      watch.disk.failing.clear()
      await watch.told.told('streamEnded')
      await watch.told.told('fileRecovered')
      expect(troublesOf(watch)).toEqual([])
    })
  })
})
