import { appendFile, rename, unlink, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { Ground, queued, resting, type Life } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

/** Nothing is told, and nobody looks. */
const deaf: Life = {
  options: { rescanMs: 3_600_000 },
  files: (real) => ({
    ...real,
    watch: () => Promise.reject(Object.assign(new Error('ENOSPC: no watches'), { code: 'ENOSPC' })),
  }),
}

describe('when the agent ends, a file of which it saw nothing of late', () => {
  test('is read to its end where its path does not lead to it any more', async () => {
    await using ground = await Ground.start()
    const [path, away] = [ground.path('a.log'), ground.path('a.old')]
    await writeFile(path, 'one\n')
    await ground.watch(async (watch) => {
      await queued(watch, 4)
      await rename(path, away)
      await appendFile(away, 'two\n'.repeat(10_000))
      await unlink(away)
    }, deaf)
    expect(await ground.texts()).toEqual([{ path: 'a.log', text: `one\n${'two\n'.repeat(10_000)}` }])
  })

  test('is left as it is where the next life finds it again', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'one\n')
    await ground.watch(async (watch) => {
      await queued(watch, 4)
      await appendFile(ground.path('a.log'), 'two\n')
    }, deaf)
    expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'one\n' }])
  })

  test('keeps it from nothing where its disk says no more', async () => {
    await using ground = await Ground.start()
    let isGone = false
    const files = openedAs((file) => ({
      facts: async () => {
        if (isGone) throw Object.assign(new Error('stale: injected'), { code: 'Unknown system error -116' })
        return file.facts()
      },
    }))
    await writeFile(ground.path('a.log'), 'one\n')
    await ground.watch(
      async (watch) => {
        await queued(watch, 4)
        await resting(watch)
        await rename(ground.path('a.log'), ground.path('a.old'))
        isGone = true
      },
      { ...deaf, files: (real) => files(deaf.files?.(real) ?? real) },
    )
    expect(await ground.texts()).toEqual([{ path: 'a.log', text: 'one\n' }])
  })
})
