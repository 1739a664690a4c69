import { mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

const bytesOf = async (folder: string): Promise<number> => {
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

// LB-081
test('a queue that is full while the server is away makes bytes wait in their file; nothing is dropped', async () => {
  const bound = 1 << 20
  await using sortie = await Sortie.start({ settings: { queue: { maxBytes: bound } } })
  sortie.linkDown()
  await sortie.agent.start()
  const content = new Seeded(81).bytes(3 * bound)
  await sortie.write('large.bin', content)
  const { totals } = await sortie.agent.statusUntil(
    ({ queue, totals }) => queue.state.is === 'full' && totals.size === content.length,
  )
  expect(await bytesOf(join(sortie.state, 'segments'))).toBeLessThanOrEqual(bound)
  expect(totals.readBytes - totals.queuedBytes).toBeLessThanOrEqual(3 * 32 * 1024)
  sortie.linkUp()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'large.bin', bytes: content }])
})

/** An agent that could not send anything was killed; what it queued is `content`. */
async function grounded(content: Uint8Array): Promise<Sortie> {
  await using moving = new AsyncDisposableStack()
  const sortie = moving.use(await Sortie.start())
  sortie.linkDown()
  await sortie.agent.start()
  await sortie.write('flight.bin', content)
  await sortie.agent.statusUntil(({ totals }) => totals.queuedBytes === content.length)
  await sortie.agent.kill()
  sortie.linkUp()
  moving.move()
  return sortie
}

async function flip(path: string, at: number): Promise<void> {
  await using file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, at)
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at)
}

const content = new Seeded(83).bytes(400_000)

describe('what the disk did to the queue is mended', () => {
  // LB-083
  test('when the log of LevelDB lost its end', async () => {
    await using sortie = await grounded(content)
    const folder = join(sortie.state, 'queue')
    const logs = (await readdir(folder)).filter((name) => name.endsWith('.log'))
    const last = join(folder, logs.toSorted().at(-1) ?? '')
    await truncate(last, (await stat(last)).size - 500)
    await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations([{ path: 'flight.bin', bytes: content }])
  })

  // LB-083
  test('when LevelDB does not open: it is set aside, and the queue is rebuilt from its segments', async () => {
    await using sortie = await grounded(content)
    await writeFile(join(sortie.state, 'queue', 'CURRENT'), 'no such manifest\n')
    await sortie.agent.start()
    await sortie.land()
    expect(await readdir(sortie.state)).toContainEqual(expect.stringMatching(/^queue\.damaged-/))
    await sortie.expectGenerations([{ path: 'flight.bin', bytes: content }])
  })

  // LB-087
  test('when a record is corrupt: it is never sent, and made again from its file', async () => {
    await using sortie = await grounded(content)
    const segments = join(sortie.state, 'segments')
    const [first = ''] = await readdir(segments)
    await flip(join(segments, first), 60_000)
    await sortie.agent.start()
    await sortie.land()
    await sortie.expectGenerations([{ path: 'flight.bin', bytes: content }])
  })
})

// LB-087
test('a corrupt record is made again from a file that went to another folder while no agent ran', async () => {
  await using sortie = await grounded(content)
  const segments = join(sortie.state, 'segments')
  const [first = ''] = await readdir(segments)
  await flip(join(segments, first), 60_000)
  await mkdir(sortie.path('landed'))
  await sortie.rename('flight.bin', 'landed/flight.bin')
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'flight.bin', bytes: content }])
})

// LB-087
test('a corrupt record whose file is gone becomes a loss, named to the byte', async () => {
  await using sortie = await grounded(content)
  const segments = join(sortie.state, 'segments')
  const [first = ''] = await readdir(segments)
  const at = 60_000
  await flip(join(segments, first), at)
  await sortie.remove('flight.bin')
  await sortie.agent.start()
  await sortie.land()
  const [stream] = await sortie.streams()
  const [loss, ...others] = stream?.losses ?? []
  expect(others).toEqual([])
  expect(loss?.from ?? 0).toBeLessThan(at)
  expect((loss?.to ?? 0) - (loss?.from ?? 0)).toBeLessThanOrEqual(32 * 1024)
  await sortie.expectGenerations([{ path: 'flight.bin', bytes: content, losses: loss ? [loss] : [] }])
})

// LB-087
test('a queue that is lost whole is begun anew: the server has everything, and verifies', async () => {
  await using sortie = await grounded(content)
  const before = await readFile(join(sortie.state, 'epoch'), 'utf8')
  for (const name of await readdir(join(sortie.state, 'segments')))
    await truncate(join(sortie.state, 'segments', name), 0)
  for (const name of await readdir(join(sortie.state, 'queue')))
    await truncate(join(sortie.state, 'queue', name), 0)
  await sortie.agent.start()
  await sortie.land()
  expect(Number(await readFile(join(sortie.state, 'epoch'), 'utf8'))).toBeGreaterThan(Number(before))
  await sortie.expectGenerations([{ path: 'flight.bin', bytes: content }])
})

// LB-083
test('a state folder that is lost after half was delivered goes on where the server says it has everything', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.write('flight.bin', content)
  await sortie.land()
  await sortie.agent.kill()
  await rm(sortie.state, { recursive: true })
  const more = new Seeded(84).bytes(100_000)
  await sortie.append('flight.bin', more)
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'flight.bin', bytes: Buffer.concat([content, more]) }])
})

test('what was lost of a file is told by flush and status, although its stream has ended', async () => {
  const settings = { queue: { maxBytes: '128KiB', minFree: '0' } }
  await using sortie = await Sortie.start({ settings })
  sortie.linkDown()
  await sortie.write('a.log', content)
  await sortie.agent.start()
  await sortie.agent.statusUntil(({ queue, totals }) => queue.state.is === 'full' && totals.size > 0)
  await sortie.agent.stop()
  await sortie.truncate('a.log')
  sortie.linkUp()
  await sortie.agent.start()
  const { lostBytes } = await sortie.land()
  const [stream] = await sortie.streams()
  expect(stream?.losses).toEqual([
    { from: content.length - lostBytes, to: content.length, reason: 'truncated' },
  ])
  await sortie.agent.kill()
  await sortie.agent.start()
  const { totals } = await sortie.agent.status()
  expect(totals.lostBytes).toBe(lostBytes)
})
