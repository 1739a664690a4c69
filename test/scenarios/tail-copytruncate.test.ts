import { appendFileSync, truncateSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { lines } from '../kit/lines.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

/** Copies that a rotation makes have other names. */
const onlyLogs = (sortie: Sortie) => ({ sources: [{ paths: [sortie.path('*.log')], closeAfter: '2s' }] })

// LB-025
test('a file that is copied and truncated under its writer begins a new generation at byte 0, without NUL', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start(onlyLogs(sortie))
  await using writer = await open(sortie.path('app.log'), 'a')
  await writer.write('one\ntwo\n')
  await sortie.land()
  await sortie.copy('app.log', 'app.log.1')
  await sortie.truncate('app.log')
  await writer.write('three\n')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: 'one\ntwo\n' },
    { path: 'app.log', bytes: 'three\n' },
  ])
})

// LB-027
test('what is written before and after a truncation is two generations, in order', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', lines('before', 5))
  await sortie.land()
  await sortie.truncate('app.log')
  await sortie.land()
  await sortie.append('app.log', lines('after', 5))
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: lines('before', 5) },
    { path: 'app.log', bytes: lines('after', 5) },
  ])
  expect((await sortie.streams()).map(({ bytes }) => bytes.toString())).toEqual([
    lines('before', 5),
    lines('after', 5),
  ])
})

// LB-029
test.each([
  ['shorter', 'x\n'],
  ['of the same length', 'three\nfour\n'],
  ['longer', lines('longer', 10)],
])(
  'what is written at once after a truncation arrives alone and once, when the content is then %s',
  async (_, after) => {
    await using sortie = await Sortie.start()
    await sortie.agent.start()
    await sortie.append('app.log', 'one11\ntwo2\n')
    await sortie.land()
    // In one turn of the loop, so that no look of the agent comes between.
    truncateSync(sortie.path('app.log'))
    appendFileSync(sortie.path('app.log'), after)
    await sortie.land()
    await sortie.streamsUntil((streams) => streams.length > 1)
    await sortie.expectGenerations([
      { path: 'app.log', bytes: 'one11\ntwo2\n' },
      { path: 'app.log', bytes: after },
    ])
  },
)

// LB-029
test('bytes that a truncation cut off before they were read are named as lost', async () => {
  await using sortie = await Sortie.start({ settings: { queue: { maxBytes: '128KiB' } } })
  sortie.linkDown()
  await sortie.agent.start()
  const content = new Seeded(29).bytes(1 << 20)
  await sortie.append('app.log', content)
  await sortie.agent.statusUntil(
    ({ queue, totals }) => queue.state.is === 'full' && totals.size === content.length,
  )
  // Its size counts once a look has found proof that it is its own.
  await sortie.agent.flush(0)
  await sortie.truncate('app.log')
  await sortie.append('app.log', 'after\n')
  sortie.linkUp()
  await sortie.land()
  const streams = await sortie.streamsUntil((all) => all.length > 1)
  const read = streams[0]?.losses[0]?.from ?? content.length
  expect(read).toBeLessThan(content.length)
  await sortie.expectGenerations([
    { path: 'app.log', bytes: content, losses: [{ from: read, to: content.length, reason: 'truncated' }] },
    { path: 'app.log', bytes: 'after\n' },
  ])
})

// LB-031
test('a file that is truncated while the agent runs and grows while it is off is read on from byte 0', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  const before = 'forty-nine characters and a newline: 50 bytes...\n'.padStart(50).repeat(200)
  await sortie.append('app.log', before)
  await sortie.land()
  await sortie.truncate('app.log')
  await sortie.told.told('streamEnded')
  await sortie.agent.stop()
  const after = 'another forty-nine characters and a newline.....\n'.padStart(50).repeat(10)
  await sortie.append('app.log', after)
  await sortie.agent.start()
  await sortie.land()
  await sortie.agent.stop()
  await using queue = await sortie.queue()
  expect([...queue.resumePoints.values()].map(({ position }) => position)).toEqual([500])
  await sortie.expectGenerations([
    { path: 'app.log', bytes: before },
    { path: 'app.log', bytes: after },
  ])
})

// LB-033
test.each([
  ['longer than before', 'a line that is longer than what stood here before\n'],
  ['exactly as long as before', 'line 3\nline 4\n'],
])(
  'a file that is copied and truncated while the agent is off, and then %s, is a new generation',
  async (_, after) => {
    await using sortie = await Sortie.start()
    await sortie.agent.start(onlyLogs(sortie))
    await sortie.append('app.log', 'line 1\nline 2\n')
    await sortie.land()
    await sortie.agent.stop()
    await sortie.copy('app.log', 'app.log.1')
    await sortie.truncate('app.log')
    await sortie.append('app.log', after)
    await sortie.agent.start(onlyLogs(sortie))
    await sortie.land()
    await sortie.expectGenerations([
      { path: 'app.log', bytes: 'line 1\nline 2\n' },
      { path: 'app.log', bytes: after },
    ])
  },
)
