import { mkdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { noise } from '../kit/noise.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

const settings = { queue: { maxBytes: '128KiB', minFree: '0' }, capture: { maxOpenFiles: 8 } }
const size = 400_000
const flight = new Seeded(1).bytes(size)
const text = noise(size)

/** The agent was stopped when it knew this much, and had no room in its queue for all of it. */
async function stoppedFull(sortie: Sortie, sources: readonly unknown[]): Promise<void> {
  sortie.linkDown()
  await sortie.agent.start({ sources })
  await sortie.agent.statusUntil(({ queue, totals }) => queue.state.is === 'full' && totals.size === size)
  await sortie.agent.stop()
  sortie.linkUp()
}

describe('bytes that are known and unread, in a file to which no glob leads any more, are shipped', () => {
  test('when a link was set to another file while the agent was off', async () => {
    await using sortie = await Sortie.start({ settings })
    const sources = [{ paths: [sortie.path('latest.bin')], format: 'binary', closeAfter: '1s' }]
    await sortie.write('flights/41.bin', flight)
    await sortie.symlink('flights/41.bin', 'latest.bin')
    await stoppedFull(sortie, sources)
    await sortie.write('flights/42.bin', 'flight 42')
    await sortie.symlink('flights/42.bin', 'latest.bin')
    await sortie.agent.start({ sources })
    await sortie.land()
    await sortie.expectGenerations([
      { path: 'latest.bin', bytes: flight },
      { path: 'latest.bin', bytes: 'flight 42' },
    ])
  })

  test('when links are set to other files while the agent runs, and has no handles for all of them', async () => {
    await using sortie = await Sortie.start({ settings })
    await mkdir(sortie.path('flights'))
    const flights = Array.from({ length: 15 }, (_, number) => new Seeded(number).bytes(60_000))
    sortie.linkDown()
    for (const [number, bytes] of flights.entries()) {
      await sortie.write(`flights/${number}`, bytes)
      await sortie.symlink(`flights/${number}`, `${number}.bin`)
    }
    await sortie.agent.start({
      sources: [{ paths: [sortie.path('*.bin')], format: 'binary', closeAfter: '2s' }],
    })
    await sortie.agent.statusUntil(
      ({ queue, totals }) => queue.state.is === 'full' && totals.size === 900_000,
    )
    for (const number of flights.keys()) {
      await sortie.write(`flights/new${number}`, `new ${number}`)
      await sortie.symlink(`flights/new${number}`, `${number}.bin`)
    }
    await sortie.agent.statusUntil(
      ({ files }) => files.filter(({ state }) => state === 'draining').length === 15,
    )
    sortie.linkUp()
    await sortie.land()
    await sortie.expectGenerations(
      flights.flatMap((bytes, number) => [
        { path: `${number}.bin`, bytes },
        { path: `${number}.bin`, bytes: `new ${number}` },
      ]),
    )
  })

  test('when it is excluded now: as far as it goes at the start, and nothing that comes later', async () => {
    await using sortie = await Sortie.start({ settings })
    await sortie.write('a.log', text)
    const paths = [sortie.path('*.log')]
    await stoppedFull(sortie, [{ paths }])
    await sortie.agent.start({ sources: [{ paths, exclude: ['a.log'] }] })
    await sortie.land()
    await sortie.agent.statusUntil(({ files }) => files.length === 0)
    await sortie.append('a.log', 'later\n')
    await sortie.land()
    await sortie.expectGenerations([{ path: 'a.log', bytes: text }])
  })
})

test('what such a file does not hold any more is named as lost', async () => {
  await using sortie = await Sortie.start({ settings })
  await sortie.write('a.log', text)
  const paths = [sortie.path('*.log')]
  await stoppedFull(sortie, [{ paths }])
  await sortie.write('a.log', noise(size + 1, new Seeded(2)))
  await sortie.agent.start({ sources: [{ paths, exclude: ['a.log'] }] })
  const [stream] = await sortie.streamsUntil(([first]) => (first?.losses.length ?? 0) > 0)
  expect(stream?.losses).toEqual([{ from: expect.any(Number), to: size, reason: 'overwritten' }])
  expect(stream?.missing).toEqual([])
})
