import { stat } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { lines } from '../kit/lines.ts'
import { Sortie } from '../kit/sortie.ts'

// LB-037
test.each([
  ['while it runs', false],
  ['while it is off', true],
])(
  'a path that is deleted and made again is two generations, even with the same inode: %s',
  async (_, isOff) => {
    await using sortie = await Sortie.start({ source: { closeAfter: '1s' } })
    await sortie.agent.start()
    await sortie.append('app.log', 'the first file\n')
    await sortie.land()
    if (isOff) await sortie.agent.kill()
    await sortie.remove('app.log')
    if (!isOff) await sortie.told.told('streamEnded')
    await sortie.append('app.log', 'the second file\n')
    if (isOff) await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations([
      { path: 'app.log', bytes: 'the first file\n' },
      { path: 'app.log', bytes: 'the second file\n' },
    ])
  },
)

// LB-037
test('a file that is deleted while its writer goes on is read to its end', async () => {
  await using sortie = await Sortie.start({ source: { closeAfter: '1h' } })
  await sortie.agent.start()
  await sortie.append('app.log', 'one\n')
  await sortie.land()
  await sortie.hardLink('app.log', '../kept')
  await sortie.remove('app.log')
  await sortie.append('../kept', 'two\n')
  await sortie.remove('../kept')
  await sortie.streamsUntil(([stream]) => stream?.close?.length === 'one\ntwo\n'.length)
  await sortie.expectGenerations([{ path: 'app.log', bytes: 'one\ntwo\n', isClosed: true }])
})

// LB-039
test('a file that went out of reach while the agent was off does not disturb the other, which goes on where it was', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('a.log', 'first of a\n')
  await sortie.append('b.log', 'first of b\n')
  await sortie.land()
  await sortie.agent.stop()
  await sortie.rename('a.log', '../out of reach')
  await sortie.agent.start()
  await sortie.append('b.log', 'second of b\n')
  await sortie.land()
  expect(sortie.told.named('fileTrouble')).toEqual([])
  await sortie.expectGenerations([
    { path: 'a.log', bytes: 'first of a\n' },
    { path: 'b.log', bytes: 'first of b\nsecond of b\n' },
  ])
})

// LB-041
test('Logbox never removes, links, locks or changes a log file, delivered or not', async () => {
  await using sortie = await Sortie.start({ source: { closeAfter: '1s' } })
  await sortie.append('app.log', lines('app', 5))
  const before = await stat(sortie.path('app.log'), { bigint: true })
  await sortie.agent.start()
  await sortie.land()
  await sortie.agent.stop()
  const after = await stat(sortie.path('app.log'), { bigint: true })
  const kept = ['dev', 'ino', 'mode', 'nlink', 'uid', 'gid', 'size', 'mtimeNs', 'ctimeNs'] as const
  expect(kept.map((field) => after[field])).toEqual(kept.map((field) => before[field]))
  await sortie.expectGenerations([{ path: 'app.log', bytes: lines('app', 5) }])
})

// LB-043
test('a file that is renamed while the agent is off goes on in its stream, although only the new name is watched', async () => {
  await using sortie = await Sortie.start()
  const watching = (name: string) => ({ sources: [{ paths: [sortie.path(name)] }] })
  await sortie.agent.start(watching('old.log'))
  await sortie.append('old.log', lines('app', 5))
  await sortie.land()
  await sortie.agent.stop()
  await sortie.rename('old.log', 'new.log')
  await sortie.append('new.log', lines('app', 5, 5))
  await sortie.agent.start(watching('new.log'))
  await sortie.land()
  await sortie.expectGenerations([{ path: 'old.log', bytes: lines('app', 10) }])
})
