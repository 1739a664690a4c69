import { describe, expect, test } from 'vitest'
import { lines } from '../kit/lines.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'
import type { Loss } from '../kit/sortie-streams.ts'

const small = { queue: { maxBytes: '128KiB', minFree: '0' } }
const large = Buffer.from(new Seeded(77).bytes(300_000)).toString('base64')

/** A sortie without a link, whose agent could not queue all of the large file. */
async function heldUp(name: string, before?: (sortie: Sortie) => Promise<void>): Promise<Sortie> {
  await using moving = new AsyncDisposableStack()
  const sortie = moving.use(await Sortie.start({ settings: small }))
  await sortie.agent.start()
  await before?.(sortie)
  sortie.linkDown()
  await sortie.write(name, large)
  await sortie.agent.statusUntil(
    ({ queue, files }) => queue.state.is === 'full' && files.some(({ size }) => size === large.length),
  )
  moving.move()
  return sortie
}

/** A flush that has no time looks at all files, and gives up. */
async function look(sortie: Sortie): Promise<void> {
  const { done } = await sortie.agent.flush(1)
  expect(done).toBe(false)
}

/** Each text is gone before it can be read, but for the last one. */
async function refill(sortie: Sortie, name: string, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    await sortie.truncate(name)
    await look(sortie)
    await sortie.append(name, text)
    await look(sortie)
  }
}

const truncated = (to: number, from = 0): Loss => ({ from, to, reason: 'truncated' })

/** How much of the large file was read. */
async function readBefore(sortie: Sortie): Promise<number> {
  const [first] = await sortie.streams()
  return first?.losses[0]?.from ?? 0
}

describe('while the queue is full, each generation that a look saw has its loss record', () => {
  test('of a file that is not read to its end', async () => {
    await using sortie = await heldUp('a.log')
    const [second, third, fourth] = [lines('second', 100), lines('third', 200), lines('fourth', 300)]
    await refill(sortie, 'a.log', [second, third, fourth])
    sortie.linkUp()
    await sortie.land()
    const read = await readBefore(sortie)
    await sortie.expectGenerations([
      { path: 'a.log', bytes: large, losses: [truncated(large.length, read)] },
      { path: 'a.log', bytes: second, losses: [truncated(second.length)] },
      { path: 'a.log', bytes: third, losses: [truncated(third.length)] },
      { path: 'a.log', bytes: fourth },
    ])
  })

  test('of one that was read to its end', async () => {
    await using sortie = await heldUp('a.log', async (begun) => {
      await begun.write('small.log', 'first\n')
      await begun.land()
    })
    await refill(sortie, 'small.log', ['second\n', 'third\n', 'fourth\n'])
    sortie.linkUp()
    await sortie.land()
    await sortie.expectGenerations([
      { path: 'a.log', bytes: large },
      { path: 'small.log', bytes: 'first\n' },
      { path: 'small.log', bytes: 'second\n', losses: [truncated(7)] },
      { path: 'small.log', bytes: 'third\n', losses: [truncated(6)] },
      { path: 'small.log', bytes: 'fourth\n' },
    ])
  })
})

test('what was cut off a file while the queue is full is named, although the file grows on', async () => {
  await using sortie = await heldUp('a.log')
  await sortie.truncate('a.log', 300_000)
  await look(sortie)
  const grown = `${large.slice(0, 300_000)}${lines('later', 20_000)}`
  await sortie.append('a.log', grown.slice(300_000))
  await look(sortie)
  sortie.linkUp()
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'a.log', bytes: large, losses: [truncated(large.length, 300_000)] },
    { path: 'a.log', bytes: grown },
  ])
})
