import { stat, writeFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Generation } from '../../agent/capture/generation.ts'
import { pathKey } from '../../agent/capture/find-files.ts'
import { identityOf } from '../../agent/capture/identity.ts'
import { OpenFiles } from '../../agent/capture/open-files.ts'
import { placeOf } from '../../agent/capture/places.ts'
import { realWorld, type OpenFile } from '../../agent/world.ts'
import { changedFile } from '../kit/changed-file.ts'
import { Ground, queued, resting, sourceOf, type Life } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

/** As Node says ESTALE. */
const stale = Object.assign(new Error('stale: injected'), { code: 'Unknown system error -116' })

/** Files of a disk whose handles are counted, and of which some steps fail. */
function counted(failing: Set<'facts' | 'close'>) {
  const handles = { open: 0 }
  const fail = (step: 'facts' | 'close'): void => {
    if (failing.has(step)) throw stale
  }
  const change = (file: OpenFile): Partial<OpenFile> => {
    handles.open++
    return {
      facts: async () => (fail('facts'), file.facts()),
      [Symbol.asyncDispose]: async () => {
        handles.open--
        await file[Symbol.asyncDispose]()
        fail('close')
      },
    }
  }
  return { handles, files: openedAs(change)(realWorld().files) }
}

/** Somebody to follow the file of this name, of whom nothing was read. */
async function followed(ground: Ground, name: string): Promise<Generation> {
  const { files } = realWorld()
  await writeFile(ground.path(name), 'one\n')
  const path = Buffer.from(ground.path(name))
  const [facts, place] = [await files.facts(path), await placeOf(files, path)]
  const { resume } = await ground.kit.arrival('')
  const point = { ...resume, identity: identityOf(facts) }
  return new Generation(point, sourceOf(['*']), { pathKey: pathKey(path), place, facts }, 0)
}

test('a file of which nothing can be asked once it is open is closed, however often that is tried', async () => {
  await using ground = await Ground.start()
  const failing = new Set(['facts'] as const)
  const { handles, files } = counted(failing)
  await using openFiles = new OpenFiles(files, { maxOpenFiles: 4 })
  const generation = await followed(ground, 'a.log')
  for (let times = 0; times < 3; times++) await expect(openFiles.borrow(generation)).rejects.toBe(stale)
  expect(handles.open).toBe(0)
  failing.clear()
  await expect(openFiles.borrow(generation)).resolves.toBeDefined()
  expect(handles.open).toBe(1)
})

test('a path that leads to another file by now holds no handle', async () => {
  await using ground = await Ground.start()
  const { handles, files } = counted(new Set())
  await using openFiles = new OpenFiles(files, { maxOpenFiles: 4 })
  const [generation, other] = [await followed(ground, 'a.log'), await followed(ground, 'b.log')]
  generation.pathKey = other.pathKey
  await expect(openFiles.borrow(generation)).resolves.toBeUndefined()
  expect(handles.open).toBe(0)
})

test('a disk that refuses to close a file keeps no other from being opened, and none is left open', async () => {
  await using ground = await Ground.start()
  const { handles, files } = counted(new Set(['close']))
  const names = ['a.log', 'b.log', 'c.log', 'd.log']
  {
    await using openFiles = new OpenFiles(files, { maxOpenFiles: 2 })
    for (const name of names) {
      const file = await openFiles.borrow(await followed(ground, name))
      expect((await file?.facts())?.size).toBe((await stat(ground.path(name))).size)
    }
    expect(handles.open).toBe(2)
  }
  expect(handles.open).toBe(0)
})

test('a look that is under way when the agent stops leaves no file open', async () => {
  await using ground = await Ground.start()
  const handles = { open: 0, closed: 0 }
  const opening = Promise.withResolvers<void>()
  let looking: Promise<void> = Promise.resolve()
  /** Whoever does not wait for it has closed the other file by then. */
  const slow = async (): Promise<void> => {
    opening.resolve()
    for (let turn = 0; handles.closed === 0 && turn < 1000; turn++) await setImmediate()
  }
  const slowly: Life['files'] = (real) => ({
    ...real,
    openToRead: async (path) => {
      if (Buffer.from(path).toString() === ground.path('late.log')) await slow()
      const file = await real.openToRead(path)
      handles.open++
      const close = async (): Promise<void> => {
        handles.open--
        handles.closed++
        await file[Symbol.asyncDispose]()
      }
      return changedFile(file, { [Symbol.asyncDispose]: close })
    },
  })
  await writeFile(ground.path('a.log'), 'one\n')
  await ground.watch(
    async (watch) => {
      await queued(watch, 4)
      await resting(watch)
      await writeFile(ground.path('late.log'), 'two\n')
      looking = watch.capture.look()
      await opening.promise
    },
    { files: slowly, options: { rescanMs: 3_600_000 } },
  )
  await looking
  expect(handles).toEqual({ open: 0, closed: 2 })
})
