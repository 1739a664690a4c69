import { expect, test } from 'vitest'
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
  await sortie.append('a.bin', bytes.subarray(400_000))
  mount.device = 2n
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
