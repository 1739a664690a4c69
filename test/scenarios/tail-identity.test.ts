import { describe, expect, test } from 'vitest'
import { lines } from '../kit/lines.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

// LB-057
test('identical files are two streams, and none is too short to have an identity', async () => {
  await using sortie = await Sortie.start()
  const files = {
    'empty.log': '',
    'short.log': 'x'.repeat(199),
    'one.log': `${'y'.repeat(256)}\n`,
    'two.log': `${'y'.repeat(256)}\n`,
  }
  for (const [name, bytes] of Object.entries(files)) await sortie.write(name, bytes)
  await sortie.agent.start()
  await sortie.land()
  await sortie.agent.kill()
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations(Object.entries(files).map(([path, bytes]) => ({ path, bytes })))
})

// LB-059
test('of two identical short files each goes on by itself, whichever grows first, over a restart too', async () => {
  await using sortie = await Sortie.start()
  for (const name of ['a.log', 'b.log']) await sortie.write(name, 'same\n')
  await sortie.agent.start()
  await sortie.land()
  await sortie.append('a.log', 'then a\n')
  await sortie.land()
  await sortie.agent.kill()
  await sortie.append('b.log', 'then b\n')
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'a.log', bytes: 'same\nthen a\n' },
    { path: 'b.log', bytes: 'same\nthen b\n' },
  ])
})

/** As a ULog, a dataflash log or a CSV begins: each flight alike. */
const header = new Seeded(61).bytes(11 * 1024)

// LB-061
describe('two flights that begin with the same eleven kilobytes are two streams', () => {
  test('when the second is begun while the agent runs', async () => {
    await using sortie = await Sortie.start({ source: { format: 'binary' } })
    await sortie.agent.start()
    await sortie.append('00000001.BIN', header)
    await sortie.land()
    await sortie.append('00000002.BIN', header)
    await sortie.land()
    for (const flight of [1, 2]) await sortie.append(`0000000${flight}.BIN`, `flight ${flight}`)
    await sortie.land()
    await sortie.expectGenerations(
      [1, 2].map((flight) => ({
        path: `0000000${flight}.BIN`,
        bytes: Buffer.concat([header, Buffer.from(`flight ${flight}`)]),
      })),
    )
  })

  test('when the second takes the name of the first while the agent is off', async () => {
    await using sortie = await Sortie.start({ source: { format: 'binary' } })
    await sortie.agent.start()
    await sortie.append('log.BIN', header)
    await sortie.land()
    await sortie.agent.stop()
    await sortie.rename('log.BIN', 'first.BIN')
    await sortie.append('first.BIN', 'the first flight goes on')
    await sortie.append('log.BIN', header)
    await sortie.append('log.BIN', 'the second flight')
    await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations([
      { path: 'log.BIN', bytes: Buffer.concat([header, Buffer.from('the first flight goes on')]) },
      { path: 'log.BIN', bytes: Buffer.concat([header, Buffer.from('the second flight')]) },
    ])
  })
})

// LB-059
test('a copy of a file that was shipped is a file of its own', async () => {
  await using sortie = await Sortie.start()
  await sortie.append('a.log', lines('a', 20))
  await sortie.agent.start()
  await sortie.land()
  await sortie.copy('a.log', 'b.log')
  await sortie.append('b.log', 'more\n')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'a.log', bytes: lines('a', 20) },
    { path: 'b.log', bytes: `${lines('a', 20)}more\n` },
  ])
  expect(sortie.told.named('streamEnded')).toEqual([])
})
