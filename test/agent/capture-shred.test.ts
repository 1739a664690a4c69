import { appendFileSync, closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { Ground, type Life } from '../kit/capture-ground.ts'
import { firstLoss, heldUp, tightQueue } from '../kit/full-queue.ts'
import { noise } from '../kit/noise.ts'
import { openedAs } from '../kit/opened-as.ts'
import { Seeded } from '../kit/seeded.ts'

const blockBytes = 4096
const chance = new Seeded(35)

/** As shred(1) does it: three times random bytes up to a whole block, in place, each on the disk before the next. */
function shred(path: string): void {
  const file = openSync(path, 'r+')
  const bytes = Math.ceil(statSync(path).size / blockBytes) * blockBytes
  for (let pass = 0; pass < 3; pass++) {
    writeSync(file, chance.bytes(bytes), 0, bytes, 0)
    fsyncSync(file)
  }
  closeSync(file)
}

describe('a log of which a part is read when it is shredded and deleted', () => {
  test('has a loss record for the rest, to the byte', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    const text = noise(30_000)
    await writeFile(path, text)
    await ground.watch(async (watch) => {
      const readTo = await heldUp(watch, text.length)
      shred(path)
      rmSync(path)
      expect(await firstLoss(watch)).toEqual([readTo, text.length, 'overwritten'])
    }, tightQueue)
  })

  test('has one for what grew into it while it was read, and was seen by that reading only', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    const [before, after] = [noise(5000, chance), noise(3000, chance)]
    await writeFile(path, before)
    const life = spied({
      // It grows behind what is read, and the look at its size comes after that.
      facts: (lastRead) => lastRead === blockBytes && appendFileSync(path, after),
      read: (position) => position === before.length && shred(path),
    })
    await ground.watch(async (watch) => {
      expect(await firstLoss(watch)).toEqual([5000, 8000, 'overwritten'])
    }, life)
  })

  test('while no agent runs, has one that says that it was deleted', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    const text = noise(30_000)
    await writeFile(path, text)
    await ground.watch(async (watch) => void (await heldUp(watch, text.length)), tightQueue)
    shred(path)
    rmSync(path)
    await ground.watch(async ({ told, queue }) => {
      expect(await told.told('streamEnded')).toContain('deleted')
      expect(queue.resumePoints.size).toBe(0)
    })
    const [stream] = await ground.streams()
    const read = stream?.text.length ?? 0
    expect(stream?.text).toBe(text.slice(0, read))
    expect(stream?.losses).toEqual([[read, text.length - read, 'deleted']])
  })
})

/** What happens, once each, when the size is asked for or bytes that come next are read; true, or nothing, once it did. */
interface Happenings {
  readonly facts: (lastRead: number) => unknown
  readonly read: (position: number) => unknown
}

function spied(happens: Happenings): Life {
  let [isFactsOver, isReadOver] = [false, false]
  const files = openedAs((file) => {
    let lastRead = -1
    return {
      facts: () => {
        isFactsOver ||= happens.facts(lastRead) !== false
        return file.facts()
      },
      read: (into, position) => {
        // What is read as proof is shorter.
        const isNext = into.length > 1024
        if (isNext) isReadOver ||= happens.read(position) !== false
        if (isNext) lastRead = position
        return file.read(into, position)
      },
    }
  })
  return { files }
}
