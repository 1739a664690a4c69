import { chmod, rename, rm, utimes } from 'node:fs/promises'
import { geteuid, seteuid } from 'node:process'
import { expect, test } from 'vitest'
import { Sortie } from '../kit/sortie.ts'

// LB-001
test('a file that is made while the agent runs arrives from its first byte, and what is appended once', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', 'one\ntwo\n')
  await sortie.land()
  await sortie.append('app.log', 'three\n')
  await sortie.land()
  await sortie.expectGenerations([{ path: 'app.log', bytes: 'one\ntwo\nthree\n' }])
})

// LB-003
test('only what a glob includes and no glob excludes is shipped', async () => {
  const exclude = ['*.gz', '*.tmp']
  await using sortie = await Sortie.start()
  await sortie.write('a.log', 'mine\n')
  await sortie.write('a.log.gz', 'not mine\n')
  await sortie.write('a.tmp', 'not mine\n')
  await sortie.agent.start({ sources: [{ paths: [sortie.path('*.log*'), sortie.path('*.tmp')], exclude }] })
  await sortie.land()
  await sortie.append('a.log.gz', 'nor this\n')
  await sortie.append('a.log', 'mine too\n')
  await sortie.land()
  await sortie.expectGenerations([{ path: 'a.log', bytes: 'mine\nmine too\n' }])
})

// LB-005
test('an empty file makes no record and no trouble, and what is written into it later arrives', async () => {
  await using sortie = await Sortie.start()
  for (const name of ['a', 'c']) await sortie.write(`${name}.log`, `${name}\n`)
  for (const name of ['b', 'd']) await sortie.write(`${name}.log`, '')
  await sortie.agent.start()
  await sortie.land()
  expect((await sortie.streams()).map(({ path }) => path).toSorted()).toEqual(['a.log', 'c.log'])
  for (const name of ['b', 'd']) await sortie.append(`${name}.log`, `${name}\n`)
  await sortie.land()
  await sortie.expectGenerations(
    ['a', 'b', 'c', 'd'].map((name) => ({ path: `${name}.log`, bytes: `${name}\n` })),
  )
  expect(sortie.told.named('fileTrouble')).toEqual([])
})

test('a file that is empty for all of its life has no stream at the server, and leaves nothing behind', async () => {
  await using sortie = await Sortie.start({ source: { closeAfter: '1s' } })
  await sortie.write('other.log', 'other\n')
  await sortie.write('empty.log', '')
  await sortie.agent.start()
  await sortie.agent.statusUntil(({ files }) => files.length === 2)
  await chmod(sortie.path('empty.log'), 0o444)
  await rename(sortie.path('empty.log'), sortie.path('renamed.log'))
  await sortie.agent.statusUntil(({ files }) => files.some(({ path }) => path.endsWith('renamed.log')))
  await sortie.land()
  await rm(sortie.path('renamed.log'))
  await sortie.agent.statusUntil(({ files }) => files.length === 1)
  await sortie.land()
  expect(await sortie.streams()).toMatchObject([{ path: 'other.log', losses: [] }])
})

// LB-007
test('a file older than ignoreOlder is left alone until it is written to; then all of it is shipped', async () => {
  await using sortie = await Sortie.start({ source: { ignoreOlder: '1h' } })
  await sortie.write('old.log', 'old\n')
  await sortie.write('young.log', 'young\n')
  const twoHoursAgo = Date.now() / 1000 - 7200
  await utimes(sortie.path('old.log'), twoHoursAgo, twoHoursAgo)
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'young.log', bytes: 'young\n' }])
  await sortie.append('old.log', 'and alive\n')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'young.log', bytes: 'young\n' },
    { path: 'old.log', bytes: 'old\nand alive\n' },
  ])
})

test('startAt: end passes over what stood there before, though the agent is killed in the midst of its first look', async () => {
  await using sortie = await Sortie.start({ source: { startAt: 'end' } })
  for (let i = 0; i < 600; i++) await sortie.write(`${i}.log`, `old ${i}\n`)
  await sortie.agent.start()
  await sortie.told.told('streamStarted')
  await sortie.agent.kill()
  await sortie.write('new.log', 'came while it was off\n')
  await sortie.append('599.log', 'so did this\n')
  await sortie.agent.start()
  await sortie.land()
  const streams = await sortie.streams()
  expect(streams.map(({ bytes }) => String(bytes).replaceAll('\0', '')).toSorted()).toEqual([
    'came while it was off\n',
    'so did this\n',
  ])
})

const nobody = 65_534
const mayBeNobody = geteuid?.() === 0

/** Whatever this process does until it is disposed of, it does as a user who may read nothing of root's. */
function asNobody(): Disposable {
  seteuid?.(nobody)
  return { [Symbol.dispose]: () => seteuid?.(0) }
}

// LB-009
test('a file that may not be read is named once, and arrives as soon as it may', async () => {
  using _user = mayBeNobody ? asNobody() : undefined
  await using sortie = await Sortie.start()
  await sortie.write('secret.log', 'for few eyes\n')
  await chmod(sortie.path('secret.log'), 0)
  await sortie.agent.start()
  await sortie.told.told('fileTrouble')
  await sortie.append('other.log', 'looked again\n')
  expect((await sortie.agent.flush(300)).done).toBe(false)
  await sortie.agent.statusUntil(({ files }) => files.some(({ trouble }) => trouble?.includes('EACCES')))
  await chmod(sortie.path('secret.log'), 0o644)
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'other.log', bytes: 'looked again\n' },
    { path: 'secret.log', bytes: 'for few eyes\n' },
  ])
  expect(sortie.told.named('fileTrouble')).toHaveLength(1)
  expect(sortie.told.named('fileRecovered')).toHaveLength(1)
})
