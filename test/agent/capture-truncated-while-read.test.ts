import { writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { Ground, queued, type Life } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

/** Something happens to the files right before bytes are read for the first time at a place that fits. */
function beforeRead(isTime: (position: number, into: Uint8Array) => boolean, happens: () => void): Life {
  let isOver = false
  return {
    files: openedAs((file) => ({
      read: async (into, position) => {
        if (!isOver && isTime(position, into)) {
          isOver = true
          happens()
        }
        return file.read(into, position)
      },
    })),
  }
}

describe('a file that is truncated and filled anew right before it is read', () => {
  test('for the first time: what was seen of it is lost, and what stands in it now comes once', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, 'x'.repeat(5000))
    await ground.watch(
      async (watch) => {
        await watch.told.told('streamStarted', 2)
        await queued(watch, 8)
      },
      beforeRead(
        () => true,
        () => writeFileSync(path, 'the next'),
      ),
    )
    const streams = await ground.streams()
    expect(streams.map(({ text, losses }) => [text, losses])).toEqual([
      ['', [[0, 5000, 'truncated']]],
      ['the next', []],
    ])
  })

  test('for the first time in this life: what it grew by is lost, and no more', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, 'x'.repeat(5000))
    await ground.watch((watch) => queued(watch, 5000))
    await writeFile(path, 'x'.repeat(8000))
    await ground.watch(
      async (watch) => {
        await watch.told.told('streamStarted')
        await watch.told.told('streamEnded')
        await queued(watch, 5008)
      },
      beforeRead(
        () => true,
        () => writeFileSync(path, 'the next'),
      ),
    )
    const streams = await ground.streams()
    expect(streams.map(({ text, losses }) => [text, losses])).toEqual([
      ['the next', []],
      ['x'.repeat(5000), [[5000, 3000, 'truncated']]],
    ])
  })

  test('on, while nothing of it is queued: no size of the new content is taken for one of the old', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, 'old\n'.repeat(3000))
    const life = beforeRead(
      (position, into) => position === 4096 && into.length > 1024,
      () => writeFileSync(path, 'newer\n'.repeat(5000)),
    )
    await ground.watch(async (watch) => {
      watch.disk.failing.set('write', 'ENOSPC')
      await watch.told.told('streamStarted', 2)
      watch.disk.failing.clear()
      await queued(watch, 34_096)
    }, life)
    const streams = await ground.streams()
    expect(streams.map(({ text }) => text)).toContain('newer\n'.repeat(5000))
    for (const [offset, length] of streams.flatMap(({ losses }) => losses))
      expect(offset + (length ?? 0)).toBeLessThanOrEqual(12_000)
  })
})
