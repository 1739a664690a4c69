import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground } from '../kit/capture-ground.ts'
import { noise } from '../kit/noise.ts'
import { openedAs } from '../kit/opened-as.ts'

const size = 3000
const names = Array.from({ length: 40 }, (_, index) => `${index}.log`)

test('many files that no glob leads to any more are read on where they lie, with few handles', async () => {
  await using ground = await Ground.start()
  for (const name of names) await writeFile(ground.path(name), noise(size))
  await ground.watch(
    async ({ queue, capture }) => {
      while (queue.state.is !== 'full' || capture.followed.length < 40) await capture.look()
    },
    { queueBytes: 12_000 },
  )
  const handles = { open: 0, most: 0 }
  const files = openedAs((file) => {
    handles.most = Math.max(handles.most, ++handles.open)
    return { [Symbol.asyncDispose]: () => (handles.open--, file[Symbol.asyncDispose]()) }
  })
  await ground.watch(
    async ({ capture, told }) => {
      while (told.named('streamEnded').length < 38) await capture.look()
    },
    { files, glob: '*.txt', options: { maxOpenFiles: 8 } },
  )
  // And those that are being opened at the same time.
  expect(handles.most).toBeLessThanOrEqual(8 + 4)
  expect((await ground.streams()).map(({ text }) => text.length)).toEqual(names.map(() => size))
})
