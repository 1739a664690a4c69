import { appendFile, open, rename, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Queue } from '../../agent/queue/queue.ts'
import { equalBytes, sha256 } from '../../protocol/ids.ts'
import { askUntil } from '../kit/ask-until.ts'
import { Ground, queued, type Life, type Watch } from '../kit/capture-ground.ts'
import { rangeRows } from '../kit/index-rows.ts'
import { nextBatch } from '../kit/queue-kit.ts'

const chunkBytes = 100
/** A chunk for each. */
const lines = (count: number): string =>
  Array.from({ length: count }, (_, index) => `${String(index).padStart(chunkBytes - 1, '.')}\n`).join('')

const small: Life = { options: { chunks: { maxBytes: chunkBytes, catchUpBytes: chunkBytes, maxAgeMs: 20 } } }

/** What a server has of the one file that is there. */
class Server {
  readonly #ground: Ground
  content: Buffer = Buffer.alloc(0)
  dataRecords = 0
  /** Length of the file as it was closed last, and whether it was as it is here. */
  closed: readonly [number, boolean] | undefined

  constructor(ground: Ground) {
    this.#ground = ground
  }

  async take(queue: Queue): Promise<void> {
    for (
      let batch = await nextBatch(queue, 1 << 20, 1000);
      batch;
      batch = await nextBatch(queue, 1 << 20, 1000)
    ) {
      for (const { manifest, content } of await this.#ground.kit.verified(batch)) {
        if (manifest.kind === 'data') this.dataRecords++
        if (manifest.kind === 'data') this.#write(manifest.offset, content ?? new Uint8Array())
        if (manifest.kind === 'close')
          this.closed = [manifest.length, equalBytes(manifest.sha256, sha256(this.content))]
      }
      await queue.forget(batch.entries)
    }
  }

  /** The last end that it was told of is the end of this. */
  isClosedAs(text: string): boolean {
    return this.closed?.[1] === true && this.content.equals(Buffer.from(text))
  }

  #write(offset: number, bytes: Uint8Array): void {
    const grown = Buffer.alloc(Math.max(this.content.length, offset + bytes.length))
    this.content.copy(grown)
    grown.set(bytes, offset)
    this.content = grown
  }
}

async function ranges(queue: Queue): Promise<number> {
  const [stream] = queue.resumePoints.keys()
  return stream ? (await Array.fromAsync(queue.shipped(stream))).length : 0
}

/** Resolves once the index has no more of the file's ranges than so many. */
async function joinedTo(most: number, { queue }: Watch): Promise<void> {
  await askUntil(
    () => ranges(queue),
    (count) => count <= most,
  )
}

/** All of a file of 300 lines is at the server, and few ranges of it are left in the index. */
async function shipped(watch: Watch, ground: Ground, server: Server): Promise<void> {
  await queued(watch, 200 * chunkBytes)
  await server.take(watch.queue)
  await appendFile(ground.path('a.log'), lines(100))
  await queued(watch, 100 * chunkBytes)
  await joinedTo(101, watch)
  await server.take(watch.queue)
}

describe('a log whose ranges were joined in the index', () => {
  test('has few rows there, in each life of the agent', async () => {
    await using ground = await Ground.start()
    const server = new Server(ground)
    await writeFile(ground.path('a.log'), lines(200))
    await ground.watch((watch) => shipped(watch, ground, server), small)
    await ground.watch(async (watch) => {
      await appendFile(ground.path('a.log'), lines(1))
      await queued(watch, chunkBytes)
      await joinedTo(2, watch)
      await server.take(watch.queue)
    }, small)
    expect((await rangeRows(ground.kit.state)).length).toBeLessThanOrEqual(2)
    expect(String(server.content)).toBe(lines(200) + lines(100) + lines(1))
  })

  test('is compared as a whole when it is read once more, and nothing of it is shipped again', async () => {
    await using ground = await Ground.start()
    const server = new Server(ground)
    await writeFile(ground.path('a.log'), lines(200))
    await ground.watch(async (watch) => {
      await shipped(watch, ground, server)
      await rename(ground.path('a.log'), ground.path('b.log'))
      await watch.told.told('fileClosed')
      await server.take(watch.queue)
    }, small)
    expect(server.closed).toEqual([300 * chunkBytes, true])
    expect(server.dataRecords).toBe(300)
  })

  test('is shipped again where a byte of them has changed', async () => {
    await using ground = await Ground.start()
    const server = new Server(ground)
    await writeFile(ground.path('a.log'), lines(200))
    const changed = `${lines(5)}X${lines(200).slice(5 * chunkBytes + 1)}${lines(100)}`
    await ground.watch(async (watch) => {
      await shipped(watch, ground, server)
      await using file = await open(ground.path('a.log'), 'r+')
      await file.write('X', 5 * chunkBytes)
      // An end from before the change may come first.
      await askUntil(
        async () => {
          await server.take(watch.queue)
          return server.isClosedAs(changed)
        },
        (isClosed) => isClosed,
      )
    }, small)
    expect(server.closed).toEqual([300 * chunkBytes, true])
  })
})
