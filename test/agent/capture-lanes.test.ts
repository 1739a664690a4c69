import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Capture } from '../../agent/capture/capture.ts'
import { realWorld, type Files } from '../../agent/world.ts'
import { Ground, sourceOf } from '../kit/capture-ground.ts'
import { fakeWorld, type RecordingJournal } from '../kit/fake-world.ts'
import { noise } from '../kit/noise.ts'
import { openedAs } from '../kit/opened-as.ts'
import { Seeded } from '../kit/seeded.ts'

/** A queue that is full of normal records, and low and high files before it. */
async function captured(
  ground: Ground,
  life: (capture: Capture, told: RecordingJournal) => Promise<void>,
  change: (real: Files) => Files = (real) => real,
): Promise<void> {
  const real = realWorld()
  const { journal, told } = fakeWorld()
  const world = { ...real, files: change(real.files), journal }
  const room = { maxBytes: 100_000, whenFull: 'evict' } as const
  await using queue = await ground.kit.openWith(room, { ...fakeWorld(), clock: real.clock })
  for (let count = 0; queue.ledger.bytes < 88_000; count++)
    await ground.kit.append(queue, noise(5000, new Seeded(count)))
  const stopping = new AbortController()
  const sources = (['low', 'high'] as const).map((priority) =>
    sourceOf([ground.path(`${priority}*.log`)], { priority, format: 'binary' }),
  )
  const chunks = { maxBytes: 16_384, catchUpBytes: 16_384, maxAgeMs: 20 }
  const options = { sources, chunks, rescanMs: 50, maxOpenFiles: 64 }
  const capture = new Capture(options, queue, world, stopping.signal)
  const run = capture.run(stopping.signal)
  try {
    await life(capture, told)
  } finally {
    stopping.abort()
    await run
  }
}

const readOf = ({ followed }: Capture, priority: string): number[] =>
  followed.filter(({ source }) => source.priority === priority).map(({ readTo }) => readTo)

test.each([1, 20])(
  'an urgent file is shipped while %i low ones wait for room in the queue',
  async (count) => {
    await using ground = await Ground.start()
    for (let file = 0; file < count; file++)
      await writeFile(ground.path(`low${file}.log`), noise(60_000, new Seeded(file)))
    await captured(ground, async (capture) => {
      while (readOf(capture, 'low').filter((readTo) => readTo > 0).length < Math.min(2, count))
        await capture.look()
      await writeFile(ground.path('high.log'), 'MAYDAY\n')
      const queuedTo = (): number[] =>
        capture.followed.filter(({ source }) => source.priority === 'high').map((high) => high.queuedTo)
      while (queuedTo()[0] !== 7) await capture.look()
      expect(queuedTo()).toEqual([7])
    })
  },
)

test('an urgent file is closed while a low one is read once more', async () => {
  await using ground = await Ground.start()
  const held = Promise.withResolvers<void>()
  const low = { reads: 0 }
  const slow = openedAs((file, path) => ({
    read: async (into, position) => {
      if (path.includes('low') && position === 0 && low.reads++ > 0) await held.promise
      return file.read(into, position)
    },
  }))
  await writeFile(ground.path('low.log'), 'low\n')
  await captured(
    ground,
    async (capture, told) => {
      using _reading = { [Symbol.dispose]: () => held.resolve() }
      while (low.reads < 2) await capture.look()
      await writeFile(ground.path('high.log'), 'MAYDAY\n')
      expect((await told.told('fileClosed'))[0]).toBe(ground.path('high.log'))
    },
    slow,
  )
})
