import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { isDiskGone } from '../../agent/capture/vanished-disk.ts'
import { realWorld, type FileFacts, type Files } from '../../agent/world.ts'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import { Ground, queued, type Life } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

const failure = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code })

/** A card that is taken out when it is read behind its first page, until it is put back: its folder is of the disk below. */
function card(state: { is: 'in' | 'out' | 'back' }, folder: string): Life {
  const files: Life['files'] = (real) => ({
    ...openedAs((file) => ({
      read: async (into, position) => {
        if (state.is === 'back' || position < 4096) return file.read(into, position)
        state.is = 'out'
        throw failure('EIO')
      },
    }))(real),
    facts: async (path) => {
      const facts = await real.facts(path)
      const isBelow = state.is === 'out' && Buffer.from(path).toString() === folder
      return isBelow ? { ...facts, device: facts.device + 1n } : facts
    },
  })
  const { clock } = realWorld()
  return { files, clock: { ...clock, monotonicMs: () => clock.monotonicMs() * 100 } }
}

test('what cannot be read while its disk is taken out is read, and not lost, once that is back', async () => {
  await using ground = await Ground.start()
  const text = 'x'.repeat(12_000)
  await writeFile(ground.path('a.log'), text)
  const state: Parameters<typeof card>[0] = { is: 'in' }
  await ground.watch(
    async (watch) => {
      // More often than it takes to give up a page of a disk that is there.
      while (!watch.capture.followed.some(({ failures, turn }) => failures >= 5 && turn === 'none'))
        await watch.capture.look()
      state.is = 'back'
      await queued(watch, 12_000)
    },
    card(state, ground.logs),
  )
  expect(await ground.streams()).toMatchObject([{ text, losses: [] }])
})

test('what can be read again once its disk was looked for is not lost', async () => {
  await using ground = await Ground.start()
  const text = 'x'.repeat(12_000)
  await writeFile(ground.path('a.log'), text)
  let failures = 0
  let isBack = false
  const files: Life['files'] = (real) => ({
    ...openedAs((file) => ({
      read: async (into, position) => {
        if (isBack || position < 4096) return file.read(into, position)
        failures++
        throw failure('EIO')
      },
    }))(real),
    facts: (path) => {
      // Two reads fail for one failure; after the third of these the disk is looked for.
      isBack ||= failures >= 6 && Buffer.from(path).toString() === ground.logs
      return real.facts(path)
    },
  })
  const { clock } = realWorld()
  const hasty = { ...clock, monotonicMs: () => clock.monotonicMs() * 100 }
  await ground.watch((watch) => queued(watch, 12_000), { files, clock: hasty })
  expect(await ground.streams()).toMatchObject([{ text, losses: [] }])
})

/** A file system of this device, whose block device the kernel knows, or not. */
function kernel(device: bigint, known: readonly string[]): Files {
  const { files } = realWorld()
  return {
    ...files,
    facts: async (path) => {
      const text = Buffer.from(path).toString()
      if (text.startsWith('/sys') && !known.includes(text)) throw failure('ENOENT')
      return { device } as FileFacts
    },
    entries: async function* (path) {
      const folder = `${Buffer.from(path).toString()}/`
      for (const text of known.filter((one) => one.startsWith(folder)))
        yield { name: Buffer.from(text.slice(folder.length)), is: 'link' }
    },
  }
}

/** makedev(179, 1): a card. */
const ofCard = 179n * 256n + 1n
const place = (device: bigint) => ({
  path: logPathFromBytes(Buffer.from('/media/card/a.log')) ?? '',
  device: String(device),
})

test.each([
  ['is there while the kernel names it', ofCard, ['/sys/dev/block', '/sys/dev/block/179:1'], false],
  ['is gone once the kernel has none of its number', ofCard, ['/sys/dev/block/254:0'], true],
  ['counts as there where the kernel shows no device at all', ofCard, ['/sys/dev/block'], false],
  ['counts as there where no sysfs is mounted', ofCard, [], false],
  ['counts as there where it has no device, as on NFS', 42n, ['/sys/dev/block/254:0'], false],
])('a disk %s', async (_, device, known, isGone) => {
  expect(await isDiskGone(place(device), kernel(device, known))).toBe(isGone)
})

test('a disk is gone where its folder is of another one', async () => {
  expect(await isDiskGone(place(ofCard), kernel(ofCard + 1n, []))).toBe(true)
})
