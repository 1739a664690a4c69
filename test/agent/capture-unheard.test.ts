import { stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { Files } from '../../agent/world.ts'
import { Ground, queued } from '../kit/capture-ground.ts'

test('a new file is found where neither the kernel nor the times of the folder tell of it', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  const { mtimeNs, ctimeNs } = await stat(ground.logs, { bigint: true })
  const hushed = (real: Files): Files => ({
    ...real,
    watch: () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() }),
    facts: async (path) => {
      const facts = await real.facts(path)
      return facts.isFile ? facts : { ...facts, modifiedNs: mtimeNs, changedNs: ctimeNs }
    },
  })
  await ground.watch(
    async (watch) => {
      await queued(watch, 4)
      await watch.capture.look()
      await watch.capture.look()
      await writeFile(ground.path('b.log'), 'two\n')
      await watch.capture.look()
      await queued(watch, 8)
    },
    { files: hushed },
  )
  expect(await ground.texts()).toEqual([
    { path: 'a.log', text: 'one\n' },
    { path: 'b.log', text: 'two\n' },
  ])
})
