import { readdirSync, readFileSync } from 'node:fs'
import { appendFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground, queued, type Life } from '../kit/capture-ground.ts'

/** What is not heard is not found within the time of a test. */
const rescanningNever: Life = { options: { rescanMs: 3_600_000 } }

/** How many inotify watches this process has: proc(5), fdinfo. */
function inotifyWatches(): number {
  const infos = readdirSync('/proc/self/fdinfo').map((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
    } catch {
      return ''
    }
  })
  return infos.join('').match(/^inotify wd:/gm)?.length ?? 0
}

test('a folder takes one inotify watch, however many files are in it', async () => {
  await using ground = await Ground.start()
  for (let index = 0; index < 500; index++) await writeFile(ground.path(`${index}.log`), 'x')
  const before = inotifyWatches()
  await ground.watch(async (watch) => {
    await queued(watch, 500)
    await appendFile(ground.path('499.log'), 'more')
    await queued(watch, 504)
    expect(inotifyWatches() - before).toBe(1)
  }, rescanningNever)
  expect(inotifyWatches()).toBe(before)
})

test('growth, a new file, a new name, a deletion and a link are heard of, not waited for', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'a1')
  await ground.watch(async (watch) => {
    await queued(watch, 2)
    await appendFile(ground.path('a.log'), 'a2')
    await queued(watch, 4)
    await writeFile(ground.path('b.log'), 'b1')
    await queued(watch, 6)
    await rename(ground.path('b.log'), ground.path('c.log'))
    await appendFile(ground.path('c.log'), 'b2')
    await queued(watch, 8)
    await rm(ground.path('a.log'))
    await writeFile(ground.path('elsewhere'), 'l1')
    await symlink(ground.path('elsewhere'), ground.path('d.log'))
    await queued(watch, 10)
  }, rescanningNever)
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['a1a2', 'b1b2', 'l1'])
})

test('a file whose name is not UTF-8 is heard of, too', async () => {
  await using ground = await Ground.start()
  const path = Buffer.concat([Buffer.from(`${ground.logs}/`), Buffer.of(0xff, 0xfe), Buffer.from('.log')])
  await writeFile(ground.path('a.log'), 'one')
  await ground.watch(async (watch) => {
    await queued(watch, 3)
    await writeFile(path, 'new')
    await queued(watch, 6)
    await appendFile(path, 'more')
    await queued(watch, 10)
  }, rescanningNever)
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['newmore', 'one'])
})

test('a folder that was deleted and made anew is heard of again', async () => {
  await using ground = await Ground.start()
  await mkdir(ground.path('flight'))
  await writeFile(ground.path('flight/a.log'), 'one')
  const life: Life = { ...rescanningNever, glob: '**/*.log' }
  await ground.watch(async (watch) => {
    await queued(watch, 3)
    await rm(ground.path('flight'), { recursive: true })
    await mkdir(ground.path('flight'))
    await writeFile(ground.path('flight/b.log'), 'two')
    await queued(watch, 6)
    await appendFile(ground.path('flight/b.log'), 'more')
    await queued(watch, 10)
  }, life)
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['one', 'twomore'])
})
