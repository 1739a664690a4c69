import { appendFile, rename, rm, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { FileFacts, OpenFile } from '../../agent/world.ts'
import { Ground, queued, type Watch } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'

const text = 'what the server had\n'

/** Resolves once all of the file is in the queue. */
async function queuedWhole({ capture }: Watch, size: number): Promise<void> {
  do await capture.look()
  while (!capture.followed.some(({ queuedTo, turn }) => queuedTo === size && turn === 'none'))
}

describe('a file of which the server has lost what it signed for', () => {
  test('is read again from its beginning in a new stream, and nothing of the old one counts as lost', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), text)
    await ground.watch(async (watch) => {
      await queuedWhole(watch, text.length)
      await watch.capture.beginAgain()
      await watch.told.told('streamStarted', 2)
      await appendFile(ground.path('a.log'), 'and what came then\n')
      await queued(watch, 2 * text.length + 'and what came then\n'.length)
    })
    const streams = await ground.streams()
    expect(streams.map((stream) => stream.text)).toEqual([text, `${text}and what came then\n`])
    expect(streams.flatMap(({ losses }) => losses)).toEqual([])
  })

  test('is read again even where the agent had not found it yet, once it does', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), text)
    await ground.watch((watch) => queuedWhole(watch, text.length))
    await ground.watch(async ({ capture, told, queue }) => {
      await capture.beginAgain()
      expect(await told.told('streamEnded')).toContain('receiptsLost')
      await queued({ queue }, 2 * text.length)
      expect(queue.resumePoints.size).toBe(1)
    })
    expect((await ground.streams()).map((stream) => stream.text)).toEqual([text, text])
  })

  test('is read again when it comes back, in whichever life of the agent', async () => {
    await using ground = await Ground.start()
    const away = { source: { closeAfterMs: 60_000 } }
    await writeFile(ground.path('a.log'), text)
    await ground.watch((watch) => queuedWhole(watch, text.length), away)
    await rename(ground.path('a.log'), ground.path('a.log.unplugged'))
    await ground.watch(({ capture }) => capture.beginAgain(), away)
    await rename(ground.path('a.log.unplugged'), ground.path('a.log'))
    await ground.watch((watch) => queued(watch, 2 * text.length), away)
    expect((await ground.streams()).map((stream) => stream.text)).toEqual([text, text])
  })

  test('is read again though the disk fails when it is to begin', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), text)
    const disk = { isFailing: false }
    const facts = async (file: OpenFile): Promise<FileFacts> => {
      if (!disk.isFailing) return file.facts()
      disk.isFailing = false
      throw Object.assign(new Error('EIO: i/o error, fstat'), { code: 'EIO' })
    }
    await ground.watch(
      async (watch) => {
        await queuedWhole(watch, text.length)
        await watch.capture.beginAgain()
        disk.isFailing = true
        await queued(watch, 2 * text.length)
        expect(disk.isFailing).toBe(false)
      },
      { files: openedAs((file) => ({ facts: () => facts(file) })) },
    )
    expect((await ground.streams()).map((stream) => stream.text)).toEqual([text, text])
  })

  test('and that is not there any more is not waited for', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), text)
    await ground.watch((watch) => queuedWhole(watch, text.length))
    await rm(ground.path('a.log'))
    await ground.watch(async ({ capture, told }) => {
      await capture.beginAgain()
      expect(await told.told('streamEnded')).toContain('deleted')
    })
    expect((await ground.streams()).map((stream) => stream.text)).toEqual([text])
  })
})

test('a server that comes to take less gets no larger chunk from then on, of any file', async () => {
  await using ground = await Ground.start()
  const chunks = { maxBytes: 4096, catchUpBytes: 4096, maxAgeMs: 20 }
  await writeFile(ground.path('a.log'), 'x'.repeat(4096))
  await ground.watch(
    async (watch) => {
      await queuedWhole(watch, 4096)
      chunks.maxBytes = 1000
      chunks.catchUpBytes = 1000
      await appendFile(ground.path('a.log'), 'x'.repeat(4096))
      await queuedWhole(watch, 8192)
    },
    { options: { chunks } },
  )
  const [stream] = await ground.streams()
  const lengths = stream?.records.map((record) => (record.kind === 'data' ? record.length : 0)) ?? []
  expect(lengths[0]).toBe(4096)
  expect(Math.max(...lengths.slice(1))).toBe(1000)
  expect(stream?.text).toBe('x'.repeat(8192))
})

test('a link that turns out to be fast gets larger chunks from then on, where as much waits', async () => {
  await using ground = await Ground.start()
  const chunks = { maxBytes: 1000, catchUpBytes: 2000, maxAgeMs: 20 }
  await writeFile(ground.path('a.log'), 'x'.repeat(4000))
  await ground.watch(
    async (watch) => {
      await queuedWhole(watch, 4000)
      chunks.catchUpBytes = 4000
      await appendFile(ground.path('a.log'), 'x'.repeat(12_000))
      await queuedWhole(watch, 16_000)
    },
    { options: { chunks, bufferBytes: 4000 } },
  )
  const [stream] = await ground.streams()
  const lengths = stream?.records.map((record) => (record.kind === 'data' ? record.length : 0)) ?? []
  expect(Math.max(...lengths.slice(0, 2))).toBe(2000)
  expect(Math.max(...lengths)).toBe(4000)
  expect(stream?.text).toBe('x'.repeat(16_000))
})
