import { appendFileSync, closeSync, openSync, writeSync } from 'node:fs'
import { appendFile, chmod, open, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../protocol/ids.ts'
import { Ground, queued, type Life, type Stream, type Watch } from '../kit/capture-ground.ts'
import { openedAs } from '../kit/opened-as.ts'
import { never, nextBatch } from '../kit/queue-kit.ts'

const binary: Life = { source: { format: 'binary' } }

/** Writes into the file where something stands already. */
async function overwrite(path: string, offset: number, text: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.write(Buffer.from(text), 0, text.length, offset)
}

function overwriteNow(path: string, offset: number, text: string): void {
  const file = openSync(path, 'r+')
  writeSync(file, text, offset)
  closeSync(file)
}

async function theStream(ground: Ground): Promise<Stream> {
  const [stream, ...others] = await ground.streams()
  if (!stream || others.length > 0) throw new Error(`${others.length + 1} streams`)
  return stream
}

async function look({ capture }: Watch, times: number): Promise<void> {
  for (let count = 0; count < times; count++) await capture.look()
}

const lastCloseOf = ({ records }: Stream): unknown => records.findLast(({ kind }) => kind === 'close')

describe('a binary file that stands still', () => {
  test('is closed with its length and the hash of the whole', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'flight '.repeat(2000))
    await ground.watch(async ({ told }) => void (await told.told('fileClosed')), binary)
    const stream = await theStream(ground)
    const digest = Uint8Array.from(sha256(Buffer.from('flight '.repeat(2000))))
    expect(lastCloseOf(stream)).toMatchObject({ kind: 'close', length: 14_000, sha256: digest })
  })

  test('has what changed in it shipped again, and nothing else, and is closed anew', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'x'.repeat(14_000))
    await ground.watch(async ({ told }) => {
      await told.told('fileClosed')
      await overwrite(ground.path('a.log'), 5000, 'HEADER')
      await told.told('fileClosed', 2)
    }, binary)
    const stream = await theStream(ground)
    expect(stream.text).toBe(`${'x'.repeat(5000)}HEADER${'x'.repeat(8994)}`)
    expect(stream.closes).toEqual([14_000, 14_000])
    const again = stream.records.filter(({ kind }) => kind === 'data').slice(-1)
    expect(again).toMatchObject([{ offset: 4096, length: 4096 }])
  })

  test('has no close record for what changed while it was read once more, and is read once more again', async () => {
    await using ground = await Ground.start()
    const path = ground.path('a.log')
    await writeFile(path, 'x'.repeat(14_000))
    let reads = 0
    const files = openedAs((file) => ({
      read: (into, position) => {
        // What is read as proof is shorter; it is read on first, then once more. What changes was compared by then.
        if (position === 4096 && into.length > 1024 && ++reads === 2) overwriteNow(path, 0, 'HEADER')
        return file.read(into, position)
      },
    }))
    await ground.watch(async ({ told }) => void (await told.told('fileClosed')), { ...binary, files })
    const stream = await theStream(ground)
    const text = `HEADER${'x'.repeat(13_994)}`
    expect([stream.text, stream.closes]).toEqual([text, [14_000]])
    expect(lastCloseOf(stream)).toMatchObject({ sha256: Uint8Array.from(sha256(Buffer.from(text))) })
  })

  test('is read on when it grows after it was closed', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'first')
    await ground.watch(async (watch) => {
      await watch.told.told('fileClosed')
      // In one turn of the loop: in between it could be closed once more.
      overwriteNow(ground.path('a.log'), 0, 'F')
      appendFileSync(ground.path('a.log'), ' and last')
      await watch.told.told('fileClosed', 2)
    }, binary)
    expect(await theStream(ground)).toMatchObject({ text: 'First and last', closes: [5, 14] })
  })

  test('is not closed again by a restart, a touch of its mode, or a new name', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'whole')
    await ground.watch(async ({ told }) => void (await told.told('fileClosed')), binary)
    await ground.watch(async (watch) => {
      await watch.told.told('streamStarted')
      await chmod(ground.path('a.log'), 0o600)
      await look(watch, 50)
      await rename(ground.path('a.log'), ground.path('b.log'))
      await look(watch, 50)
      expect(watch.told.named('fileClosed')).toEqual([])
    }, binary)
    expect(await theStream(ground)).toMatchObject({ text: 'whole', closes: [5] })
  })

  test('that was rewritten while the agent was off has the same stream, and is shipped as it is', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'x'.repeat(9000))
    await ground.watch(async ({ told }) => void (await told.told('fileClosed')), binary)
    await overwrite(ground.path('a.log'), 35, 'appended')
    await appendFile(ground.path('a.log'), 'hardfault')
    await ground.watch(async ({ told }) => void (await told.told('fileClosed')), binary)
    const stream = await theStream(ground)
    expect(stream.text).toBe(`${'x'.repeat(35)}appended${'x'.repeat(8957)}hardfault`)
    expect(stream.closes).toEqual([9000, 9009])
  })
})

describe('text', () => {
  const patient: Life = { source: { closeAfterMs: 600 } }

  test('that stands still may grow again, and is not closed', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'line\n')
    await ground.watch(async (watch) => {
      await queued(watch, 5)
      await look(watch, 30)
    })
    expect(await theStream(ground)).toMatchObject({ text: 'line\n', closes: [] })
  })

  test('is closed when it is renamed', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'line\n')
    await ground.watch(async (watch) => {
      await queued(watch, 5)
      await rename(ground.path('a.log'), ground.path('a.1.log'))
      await watch.told.told('fileClosed')
    }, patient)
    expect(await theStream(ground)).toMatchObject({ path: 'a.log', text: 'line\n', closes: [5] })
  })

  test('is closed when nobody may write to it any more', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'line\n')
    await ground.watch(async (watch) => {
      await queued(watch, 5)
      await chmod(ground.path('a.log'), 0o444)
      await watch.told.told('fileClosed')
    }, patient)
    expect(await theStream(ground)).toMatchObject({ text: 'line\n', closes: [5] })
  })

  test('is closed when it is deleted while it is open, then its stream ends', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'line\n')
    await ground.watch(async (watch) => {
      await queued(watch, 5)
      await rm(ground.path('a.log'))
      expect(await watch.told.told('streamEnded')).toContain('deleted')
    }, patient)
    expect(await theStream(ground)).toMatchObject({ text: 'line\n', closes: [5], losses: [] })
  })

  test('that was written to in its middle has that shipped again', async () => {
    await using ground = await Ground.start()
    const lines = 'a line of text\n'.repeat(1000)
    await writeFile(ground.path('a.log'), lines)
    await ground.watch(async (watch) => {
      await queued(watch, 15_000)
      await overwrite(ground.path('a.log'), 7000, 'A CHANGE')
      await watch.told.told('fileClosed')
    })
    const stream = await theStream(ground)
    expect(stream.text).toBe(`${lines.slice(0, 7000)}A CHANGE${lines.slice(7008)}`)
    expect(stream.closes).toEqual([15_000])
  })
})

test('the end of a file that went on is not sealed anew', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'one\n')
  await chmod(ground.path('a.log'), 0o444)
  await ground.watch(async (watch) => {
    await watch.told.told('fileClosed')
    await chmod(ground.path('a.log'), 0o644)
    await appendFile(ground.path('a.log'), 'two, and it goes on\n')
    await queued(watch, 24)
    const { entries = [] } = (await nextBatch(watch.queue, 1 << 20, 100)) ?? {}
    for (const entry of entries.filter(({ length }) => length === 0)) await watch.queue.sealAnew(entry, never)
  })
  const { text, closes } = await theStream(ground)
  expect([text, closes]).toEqual(['one\ntwo, and it goes on\n', []])
})

test('a file that is rewritten with the same size and times is found at its next change of any kind', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'x'.repeat(9000))
  const when = new Date(1_700_000_000_000)
  await utimes(ground.path('a.log'), when, when)
  await ground.watch(async ({ told }) => {
    await told.told('fileClosed')
    await overwrite(ground.path('a.log'), 4500, 'hidden')
    await utimes(ground.path('a.log'), when, when)
    await told.told('fileClosed', 2)
  }, binary)
  expect((await theStream(ground)).text).toContain('xhiddenx')
})

test('a binary file that is cut short begins a new stream', async () => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), 'a long snapshot')
  await ground.watch(async (watch) => {
    await queued(watch, 15)
    await truncate(ground.path('a.log'), 0)
    await watch.told.told('streamEnded')
    await writeFile(ground.path('a.log'), 'short')
    await queued(watch, 20)
  }, binary)
  expect((await ground.texts()).map(({ text }) => text)).toEqual(['a long snapshot', 'short'])
})
