import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Endings } from '../../agent/capture/endings.ts'
import type { Follower } from '../../agent/capture/follower.ts'
import { identityOf } from '../../agent/capture/identity.ts'
import { LeftBehind } from '../../agent/capture/left-behind.ts'
import type { ResumePoint } from '../../agent/queue/resume-point.ts'
import { TaskGroup } from '../../agent/task-group.ts'
import { realWorld } from '../../agent/world.ts'
import type { StreamId } from '../../protocol/ids.ts'
import { Ground, type Watch } from '../kit/capture-ground.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { noise } from '../kit/noise.ts'
import { openedAs } from '../kit/opened-as.ts'
import { never } from '../kit/queue-kit.ts'

const size = 3000
const names = Array.from({ length: 40 }, (_, index) => `${index}.log`)

test('many files that no glob leads to any more are read on where they lie, with few handles', async () => {
  await using ground = await Ground.start()
  for (const name of names) await writeFile(ground.path(name), noise(size))
  await ground.watch(
    async ({ queue, capture }) => {
      while (queue.state.is !== 'full' || capture.followed.length < 40) await capture.look()
    },
    { queueBytes: 12_000 },
  )
  const handles = { open: 0, most: 0 }
  const files = openedAs((file) => {
    handles.most = Math.max(handles.most, ++handles.open)
    return { [Symbol.asyncDispose]: () => (handles.open--, file[Symbol.asyncDispose]()) }
  })
  await ground.watch(
    async ({ capture, told }) => {
      while (told.named('streamEnded').length < 38) await capture.look()
    },
    { files, glob: '*.txt', options: { maxOpenFiles: 8 } },
  )
  // And those that are being opened at the same time.
  expect(handles.most).toBeLessThanOrEqual(8 + 4)
  expect((await ground.streams()).map(({ text }) => text.length)).toEqual(names.map(() => size))
})

const newStream = (): StreamId => randomBytes(16).toString('base64url') as StreamId

/** Points of files with bytes that are known, and of which nothing was read. */
async function pointsOf(ground: Ground, paths: readonly string[]): Promise<ResumePoint[]> {
  const { resume } = await ground.kit.arrival('')
  return paths.map((path) => ({ ...resume, stream: newStream(), path, seenBytes: 9 }))
}

test('a look that a flush asks for takes up all of them', async () => {
  await using ground = await Ground.start()
  const { files } = realWorld()
  const lying = Array.from({ length: 250 }, (_, index) => ground.path(`${index}.old`))
  for (const path of lying) await writeFile(path, 'unread: 9')
  const points = await pointsOf(ground, lying)
  const looked = async ({ queue, capture, told }: Watch): Promise<void> => {
    for (const point of points) {
      const identity = identityOf(await files.facts(point.path))
      await queue.setResumePoint({ ...point, identity })
    }
    await capture.look()
    expect(told.named('streamStarted')).toHaveLength(250)
  }
  await ground.watch(looked, { options: { rescanMs: 3_600_000 } })
})

/** Looks of whom it is counted how often they ask for each path, at a file system that says nothing but these codes. */
async function looking(
  ground: Ground,
  codes: ReadonlyMap<string, string>,
  life: (leftBehind: LeftBehind, asked: string[]) => Promise<void>,
): Promise<void> {
  const world = fakeWorld()
  await using queue = await ground.kit.open(world)
  await using tasks = new TaskGroup()
  const endings = new Endings({ queue, clock: world.clock, patience: never }, world.told.journal, tasks)
  const asked: string[] = []
  const facts = async (path: string | Uint8Array): Promise<never> => {
    const name = Buffer.from(path).toString()
    asked.push(name)
    throw Object.assign(new Error('injected'), { code: codes.get(name) ?? 'ENOENT' })
  }
  const files = { ...world.files, facts }
  const follower = { followed: new Map() } as unknown as Follower
  await life(new LeftBehind(follower, () => undefined, endings, { ...world, files }), asked)
}

const paths = Array.from({ length: 1000 }, (_, index) => `/logs/${index}`)

test('a look asks for a hundred of thousands that lie elsewhere, in turn; a flush for all of them', async () => {
  await using ground = await Ground.start()
  const points = await pointsOf(ground, paths)
  await looking(ground, new Map(), async (leftBehind, asked) => {
    for (let looks = 1; looks <= 10; looks++) {
      await leftBehind.look(points, false, never)
      expect(asked).toHaveLength(100 * looks)
    }
    expect(new Set(asked).size).toBe(1000)
    await leftBehind.look(points, true, never)
    expect(asked).toHaveLength(2000)
  })
})

test('what cannot be asked about stays a trouble, and is asked about again at each look', async () => {
  await using ground = await Ground.start()
  const points = await pointsOf(ground, paths)
  const codes = new Map([['/logs/150', 'EACCES']])
  await looking(ground, codes, async (leftBehind, asked) => {
    const { byPath } = leftBehind.troubles
    for (let looks = 1; looks <= 5; looks++) await leftBehind.look(points, false, never)
    expect([...byPath]).toEqual([['/logs/150', 'injected']])
    expect(asked.filter((path) => path === '/logs/150')).toHaveLength(4)
    codes.clear()
    await leftBehind.look(points, false, never)
    expect([...byPath]).toEqual([])
  })
})

test('where there are troubles with all, each is still one until it was asked about', async () => {
  await using ground = await Ground.start()
  const points = await pointsOf(ground, paths)
  const codes = new Map(paths.map((path) => [path, 'EACCES']))
  await looking(ground, codes, async (leftBehind, asked) => {
    await leftBehind.look(points, true, never)
    asked.length = 0
    await leftBehind.look(points, false, never)
    await leftBehind.look(points, false, never)
    expect(asked.length).toBeLessThanOrEqual(400)
    expect(leftBehind.troubles.byPath.size).toBe(1000)
    codes.clear()
    for (let looks = 1; looks <= 10; looks++) await leftBehind.look(points, false, never)
    expect(leftBehind.troubles.byPath.size).toBe(0)
  })
})
