import { appendFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { realWorld, type World } from '../../agent/world.ts'
import { lines } from '../kit/lines.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

// LB-010
test('a file that is renamed while its writer keeps it open stays one generation', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await using writer = await open(sortie.path('app.log'), 'a')
  await writer.write('before\n')
  await sortie.land()
  await sortie.rename('app.log', 'app.log.1')
  await sortie.append('app.log', 'new after\n')
  await writer.write('old after\n')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: 'before\nold after\n' },
    { path: 'app.log', bytes: 'new after\n' },
  ])
})

// LB-012
test('what a writer adds to a rotated file arrives in its stream however late, while a glob leads there', async () => {
  await using sortie = await Sortie.start({ source: { closeAfter: '2s' } })
  await sortie.agent.start()
  await using writer = await open(sortie.path('app.log'), 'a')
  await writer.write('before\n')
  await sortie.land()
  await sortie.rename('app.log', 'app.log.1')
  await sortie.append('app.log', 'new\n')
  await writer.write('soon after\n')
  await sortie.streamsUntil((streams) => streams.some(({ close }) => close !== undefined))
  await writer.write('long after\n')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: 'before\nsoon after\nlong after\n' },
    { path: 'app.log', bytes: 'new\n' },
  ])
})

/** The world, but that so much more time has passed. */
function aheadBy(passed: { readonly ms: number }): World {
  const world = realWorld()
  return { ...world, clock: { ...world.clock, monotonicMs: () => world.clock.monotonicMs() + passed.ms } }
}

// LB-012
test('a file that left every glob is read for closeAfter, and on from there if it comes back', async () => {
  const passed = { ms: 0 }
  await using sortie = await Sortie.start({ world: aheadBy(passed) })
  const source = { paths: [sortie.path('*.log')], closeAfter: '1h' }
  await sortie.agent.start({ sources: [source] })
  await using writer = await open(sortie.path('app.log'), 'a')
  await writer.write('before\n')
  await sortie.land()
  await sortie.rename('app.log', 'app.old')
  await writer.write('soon after\n')
  await sortie.land()
  passed.ms += 3_600_000
  // What is known of it now stays for as long again.
  await sortie.told.told('streamEnded')
  await writer.write('long after\n')
  await sortie.append('app.log', 'new\n')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: 'before\nsoon after\n' },
    { path: 'app.log', bytes: 'new\n' },
  ])
  await sortie.rename('app.old', 'back.log')
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: 'before\nsoon after\nlong after\n' },
    { path: 'app.log', bytes: 'new\n' },
  ])
})

// LB-014
test('three files that rotate three times in quick succession arrive once each', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  const expected = []
  for (const generation of [0, 1, 2, 3]) {
    for (const name of ['a', 'b', 'c']) {
      const bytes = generation < 3 ? lines(`${name}${generation}`, 3) : ''
      await sortie.append(`${name}.log`, bytes)
      if (generation < 3) await sortie.rename(`${name}.log`, `${name}.log.${generation}`)
      expected.push({ path: new RegExp(`^${name}[.]log([.]${generation})?$`), bytes })
    }
  }
  await sortie.land()
  await sortie.expectGenerations(expected)
})

// LB-016
test('a file that is renamed within the glob is not shipped again, whether the agent runs or not', async () => {
  await using sortie = await Sortie.start()
  await sortie.write('x', lines('x', 100))
  await sortie.agent.start()
  await sortie.land()
  await sortie.rename('x', 'x.2')
  await sortie.land()
  await sortie.agent.stop()
  await sortie.rename('x.2', 'x.3')
  await sortie.agent.start()
  await sortie.append('x.3', 'the end\n')
  await sortie.land()
  await sortie.expectGenerations([{ path: 'x', bytes: `${lines('x', 100)}the end\n` }])
})

// LB-018
test('half a million lines in five files that rotate at 256 KiB arrive exactly, and only live files are remembered', async () => {
  await using sortie = await Sortie.start({
    source: { closeAfter: '5s' },
    settings: { chunks: { maxBytes: '256KiB', maxAge: '500ms' } },
  })
  await sortie.agent.start()
  const expected: { path: RegExp; bytes: string }[] = []
  const write = async (name: string): Promise<string[]> => {
    const rotated: string[] = []
    let generation = ''
    for (let line = 0; line < 100_000; line += 500) {
      const piece = lines(name, 500, line)
      appendFileSync(sortie.path(name), piece)
      generation += piece
      if (generation.length >= 256 * 1024) {
        expected.push({ path: new RegExp(`^${name}`), bytes: generation })
        rotated.push(`${name}.${line}`)
        renameSync(sortie.path(name), sortie.path(`${name}.${line}`))
        generation = ''
      }
      await setImmediate()
    }
    expected.push({ path: new RegExp(`^${name}`), bytes: generation })
    return rotated
  }
  const rotated = await Promise.all(['a.log', 'b.log', 'c.log', 'd.log', 'e.log'].map(write))
  await sortie.land()
  for (const name of rotated.flat()) await sortie.remove(name)
  await sortie.agent.statusUntil(({ files }) => files.length === 5)
  await sortie.agent.stop()
  await using queue = await sortie.queue()
  expect(queue.resumePoints.size).toBe(5)
  expect(expected.reduce((count, { bytes }) => count + bytes.split('\n').length - 1, 0)).toBe(500_000)
  await sortie.expectGenerations(expected)
})

// LB-020
test('a file that is rotated and then removed ends without trouble, and nothing remembers it', async () => {
  await using sortie = await Sortie.start({ source: { closeAfter: '1s' } })
  await sortie.agent.start()
  await sortie.write('app.log', lines('app', 3))
  await sortie.land()
  await sortie.rename('app.log', 'app.log.1')
  await sortie.land()
  await sortie.remove('app.log.1')
  await sortie.told.told('streamEnded')
  await sortie.land()
  expect((await sortie.agent.status()).files).toEqual([])
  expect(sortie.told.named('fileTrouble')).toEqual([])
  await sortie.agent.stop()
  await using queue = await sortie.queue()
  expect(queue.resumePoints.size).toBe(0)
  await sortie.expectGenerations([{ path: 'app.log', bytes: lines('app', 3), isClosed: true }])
})

// LB-024
test('a generation that was seen is drained although it is deleted; only one that nobody could see is missing', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', lines('first', 5))
  await sortie.land()
  const [live, backup] = [sortie.path('app.log'), sortie.path('app.log.1')]
  // In one turn of the loop, so that no look of the agent comes between.
  appendFileSync(live, lines('first', 5, 5))
  renameSync(live, backup)
  writeFileSync(live, lines('second', 10))
  renameSync(live, backup)
  writeFileSync(live, lines('third', 10))
  rmSync(backup)
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: lines('first', 10) },
    { path: 'app.log', bytes: lines('third', 10) },
  ])
})

// LB-024
test('bytes that were seen, not read, and are gone with their file when the agent comes back are named as lost', async () => {
  await using sortie = await Sortie.start({
    source: { closeAfter: '1s' },
    settings: { queue: { maxBytes: '128KiB' } },
  })
  sortie.linkDown()
  const content = new Seeded(24).bytes(1 << 19)
  await sortie.append('app.log', content)
  await sortie.agent.start()
  await sortie.agent.statusUntil(
    ({ queue, totals }) => queue.state.is === 'full' && totals.size === content.length,
  )
  await sortie.agent.stop()
  await sortie.remove('app.log')
  await sortie.append('app.log', 'the next generation\n')
  sortie.linkUp()
  await sortie.agent.start()
  await sortie.told.told('streamEnded')
  await sortie.land()
  const streams = await sortie.streams()
  const from = streams[0]?.losses[0]?.from ?? content.length
  expect(from).toBeLessThan(content.length)
  await sortie.expectGenerations([
    { path: 'app.log', bytes: content, losses: [{ from, to: content.length, reason: 'deleted' }] },
    { path: 'app.log', bytes: 'the next generation\n' },
  ])
})
