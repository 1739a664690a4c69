import { rename, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Ground, type Life, type Watch } from '../kit/capture-ground.ts'
import { noise } from '../kit/noise.ts'
import { nextBatch } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

const tight: Life = { queueBytes: 12_000, source: { closeAfterMs: 1 } }

async function full({ queue, capture }: Watch): Promise<void> {
  while (queue.state.is !== 'full') await capture.look()
}

/** Receipts come until the end of a stream is stored; gives the stream. */
async function ended({ queue, told }: Watch): Promise<unknown> {
  while (told.named('streamEnded').length === 0) {
    const batch = await nextBatch(queue, 1 << 20, 100)
    if (batch) await queue.forget(batch.entries)
    await new Promise(setImmediate)
  }
  return told.named('streamEnded')[0]?.[1]
}

test('a file that comes back while its end is being stored is read anew, and its loss is named once', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), noise(30_000))
  await ground.watch(full, tight)
  await rename(ground.path('a.log'), ground.path('a.away'))
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  const gated: Life['files'] = (real) => ({
    ...real,
    openToRead: async (path) => {
      if (Buffer.from(path).toString().endsWith('a.log')) {
        reached.resolve()
        await gate.promise
      }
      return real.openToRead(path)
    },
  })
  await ground.watch(
    async (watch) => {
      const { capture, queue, told } = watch
      await writeFile(ground.path('z.log'), noise(9_000, new Seeded(2)))
      while (!capture.isEndingStreams || queue.state.is !== 'full') await capture.look()
      await writeFile(ground.path('b.log'), 'met before it, in the same look\n')
      await rename(ground.path('a.away'), ground.path('a.log'))
      const looking = capture.look()
      await reached.promise
      const stream = await ended(watch)
      gate.resolve()
      await looking
      const starts = (): unknown[] =>
        told.named('streamStarted').flatMap(([path, id]) => (String(path).endsWith('a.log') ? [id] : []))
      while (starts().length === 0) await capture.look()
      expect(starts()).not.toContain(stream)
      expect(told.named('bytesLost')).toHaveLength(1)
    },
    { ...tight, queueBytes: 10_000, files: gated },
  )
})
