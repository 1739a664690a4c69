import { appendFile, open, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground, queued } from '../kit/capture-ground.ts'
import { Seeded } from '../kit/seeded.ts'

const chunkBytes = 4096

test('a block of small chunks that was shipped again is not shipped again with every close', async () => {
  await using ground = await Ground.start()
  const path = ground.path('a.log')
  await writeFile(path, '')
  await ground.watch(
    async (watch) => {
      for (let chunk = 1; chunk <= 10; chunk++) {
        await appendFile(path, new Seeded(chunk).bytes(chunkBytes))
        await queued(watch, chunk * chunkBytes)
      }
      await watch.told.told('fileClosed')
      for (let change = 0; change < 4; change++) {
        const closes = watch.told.named('fileClosed').length
        await using file = await open(path, 'r+')
        await file.write(Buffer.from(`x${change}`), 0, 2, 8 * chunkBytes)
        if (change === 0) await file.write(Buffer.from('header'), 0, 6, 0)
        await watch.told.told('fileClosed', closes + 1)
      }
    },
    { source: { format: 'binary', closeAfterMs: 300 } },
  )
  const [stream] = await ground.streams()
  const atHead = stream?.records.filter((record) => record.kind === 'data' && record.offset === 0)
  expect(atHead).toHaveLength(2)
}, 30_000)
