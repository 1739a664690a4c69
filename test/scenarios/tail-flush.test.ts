import { mkdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { notLookedInto } from '../../agent/control/flush.ts'
import type { StatusReport } from '../../agent/control/report.ts'
import { realWorld, type FileFacts, type Files, type Path, type World } from '../../agent/world.ts'
import { changedFile } from '../kit/changed-file.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

/** So little room that most of a large file waits in it. */
const tight = { queue: { maxBytes: '128KiB', minFree: '0' } }

/** The queue takes no more, and the one file was seen with this size. */
const isHeldUpAt =
  (size: number) =>
  ({ queue, totals }: StatusReport): boolean =>
    queue.state.is === 'full' && totals.size === size

const isLog = (path: Path): boolean => Buffer.from(path).toString().includes('/logs')

function worldWith(files: (real: Files) => Partial<Files>): World {
  const world = realWorld()
  return { ...world, files: { ...world.files, ...files(world.files) } }
}

/** A card that has another device number after each mount. What was opened before is of the card of then, and does not grow. */
function card(mount: { device: bigint; bytesBefore: number }): World {
  const asOf = (then: bigint, facts: FileFacts): FileFacts =>
    then === mount.device ? { ...facts, device: then } : { ...facts, device: then, size: mount.bytesBefore }
  return worldWith((real) => ({
    facts: async (path) => {
      const facts = await real.facts(path)
      return isLog(path) ? { ...facts, device: mount.device } : facts
    },
    openToRead: async (path) => {
      const file = await real.openToRead(path)
      if (!isLog(path)) return file
      const { device } = mount
      return changedFile(file, {
        facts: async () => asOf(device, await file.facts()),
        read: (into, at) => {
          const left = device === mount.device ? into.length : Math.max(0, mount.bytesBefore - at)
          return file.read(into.subarray(0, left), at)
        },
      })
    },
  }))
}

test('a flush is not done before a card that came back under another number is read to its end', async () => {
  const mount = { device: 1n, bytesBefore: 400_000 }
  const source = { format: 'binary', closeAfter: '60s' }
  await using sortie = await Sortie.start({ world: card(mount), settings: tight, source })
  sortie.linkDown()
  const bytes = new Seeded(1).bytes(700_000)
  await sortie.write('a.bin', bytes.subarray(0, 400_000))
  await sortie.agent.start()
  await sortie.agent.statusUntil(isHeldUpAt(400_000))
  mount.device = 2n
  await sortie.append('a.bin', bytes.subarray(400_000))
  sortie.linkUp()
  await sortie.land()
  await sortie.expectGenerations([{ path: 'a.bin', bytes }])
})

test('a flush is not done before a file is read that could not be opened when it began', async () => {
  let isRefused = true
  const world = worldWith((real) => ({
    openToRead: async (path) => {
      if (isRefused && isLog(path)) throw Object.assign(new Error('EIO: injected'), { code: 'EIO' })
      return real.openToRead(path)
    },
  }))
  await using sortie = await Sortie.start({ world })
  const bytes = new Seeded(2).bytes(700_000)
  await sortie.write('a.bin', bytes)
  await sortie.agent.start()
  const landing = sortie.land()
  await sortie.told.told('fileTrouble')
  await sortie.told.told('flushStarted')
  isRefused = false
  await landing
  expect(sortie.told.named('flushStarted')).toEqual([[0]])
  await sortie.expectGenerations([{ path: 'a.bin', bytes }])
})

/** Noise, by name. */
function filesOf(count: number, bytes: number): ReadonlyMap<string, Uint8Array> {
  return new Map(
    Array.from({ length: count }, (_, index) => [`${index}.bin`, new Seeded(index + 1).bytes(bytes)]),
  )
}

/** Each byte of these files is stored, or named as lost with them; gives how many are lost. */
async function expectNamed(sortie: Sortie, files: ReadonlyMap<string, Uint8Array>): Promise<number> {
  const streams = await sortie.streams()
  const expected = [...files].map(([path, bytes]) => {
    const losses = streams.find((stream) => stream.path === path)?.losses ?? []
    expect(losses.filter(({ reason }) => reason !== 'deleted')).toEqual([])
    return { path, bytes, losses }
  })
  await sortie.expectGenerations(expected)
  return expected.flatMap(({ losses }) => losses).reduce((sum, { from, to }) => sum + Number(to) - from, 0)
}

describe('a flush that is done has named what is known to be gone', () => {
  test('of a file that was deleted while the agent was off', async () => {
    await using sortie = await Sortie.start({ settings: tight, source: { closeAfter: '24h' } })
    sortie.linkDown()
    const bytes = new Seeded(3).bytes(400_000)
    await sortie.write('a.bin', bytes)
    await sortie.agent.start()
    await sortie.agent.statusUntil(isHeldUpAt(400_000))
    await sortie.agent.stop()
    await sortie.remove('a.bin')
    sortie.linkUp()
    await sortie.agent.start()
    await sortie.land()
    expect(await expectNamed(sortie, new Map([['a.bin', bytes]]))).toBeGreaterThan(200_000)
  })

  test('of files that were deleted while it had no handle of them', async () => {
    const settings = { ...tight, capture: { maxOpenFiles: 8 }, rescanInterval: '1h' }
    await using sortie = await Sortie.start({ settings, source: { closeAfter: '24h' } })
    sortie.linkDown()
    const files = filesOf(15, 60_000)
    for (const [name, bytes] of files) await sortie.write(name, bytes)
    await sortie.agent.start()
    await sortie.agent.statusUntil(isHeldUpAt(900_000))
    for (const name of files.keys()) await sortie.remove(name)
    sortie.linkUp()
    await sortie.land()
    expect(await expectNamed(sortie, files)).toBeGreaterThan(100_000)
  })
})

test('a flush is not done, and names them, while files with unread bytes went with their disk', async () => {
  let isOut = false
  const world = worldWith((real) => ({
    facts: async (path) => {
      const facts = await real.facts(path)
      return isOut && Buffer.from(path).toString().endsWith('/card') ? { ...facts, device: 9n } : facts
    },
  }))
  const settings = { ...tight, capture: { maxOpenFiles: 8 } }
  await using sortie = await Sortie.start({ world, settings, source: { closeAfter: '2s' } })
  sortie.linkDown()
  const files = filesOf(15, 60_000)
  for (const [name, bytes] of files) await sortie.write(`card/${name}`, bytes)
  await sortie.agent.start()
  await sortie.agent.statusUntil(isHeldUpAt(900_000))
  const landing = sortie.agent.flush(60_000)
  await sortie.told.told('flushStarted')
  isOut = true
  await sortie.rename('card', '../taken out')
  await mkdir(sortie.path('card'))
  sortie.linkUp()
  const { done, remaining = [] } = await landing
  expect(done).toBe(false)
  const unread = remaining.filter(({ trouble }) => trouble.includes('not where it was'))
  expect(unread.every(({ unreadBytes }) => unreadBytes > 0)).toBe(true)
  expect(unread.length).toBeGreaterThan(2)
  expect(sortie.told.named('bytesLost')).toEqual([])
})

test('a flush that ends before a file had its turn names it, though of the size that it has all was read', async () => {
  await using sortie = await Sortie.start({ settings: tight, source: { format: 'text' } })
  sortie.linkDown()
  await sortie.write('b.log', 'one\n')
  await sortie.agent.start()
  await sortie.agent.statusUntil(({ totals }) => totals.queuedBytes === 4)
  const noise = new Seeded(2).bytes(400_000)
  await sortie.write('a.log', noise)
  await sortie.agent.statusUntil(isHeldUpAt(400_004))
  await sortie.write('b.log', 'two\n')
  const { done, remaining = [] } = await sortie.agent.flush(0)
  expect(done).toBe(false)
  expect(remaining.find(({ path }) => path === sortie.path('b.log'))).toMatchObject({
    unreadBytes: 0,
    trouble: notLookedInto,
  })
})
