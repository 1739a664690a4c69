import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { serverFault } from '../../server-stub/faults.ts'
import type { Parts } from '../../server-stub/parts.ts'
import type { BlobDraft, BlobStore } from '../../server-stub/store/blob-store.ts'
import { ask, batchOf, Drone, labelOf, receiptIn, type Sealed } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

/** A disk that can refuse to keep what was written to it. */
class Disk {
  isFull = false
  fullTimes = 0

  of = ({ store }: Parts): Partial<Parts> => ({
    store: { draft: async () => this.#wary(await store.draft()), ...bound(store) },
  })

  #wary(draft: BlobDraft): BlobDraft {
    return {
      get bytes() {
        return draft.bytes
      },
      append: (bytes) => draft.append(bytes),
      read: (offset, bytes) => draft.read(offset, bytes),
      seal: async (key) => {
        if (this.isFull) {
          this.fullTimes++
          throw serverFault('STORE_FULL', 'cannot store: ENOSPC')
        }
        await draft.seal(key)
      },
      [Symbol.asyncDispose]: () => draft[Symbol.asyncDispose](),
    }
  }
}

/** Its private fields are the real store's own. */
function bound(store: BlobStore): Omit<BlobStore, 'draft'> {
  return {
    has: (key) => store.has(key),
    sync: (key) => store.sync(key),
    read: (key, offset, bytes) => store.read(key, offset, bytes),
    list: (prefix) => store.list(prefix),
    removeDrafts: () => store.removeDrafts(),
    probe: () => store.probe(),
  }
}

/** A batch of which the last record is sent when it is asked for. */
function beginBatch(url: string, ...records: readonly Sealed[]) {
  const batch = batchOf(...records)
  const last = records.at(-1)?.bytes.length ?? 0
  const socket = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('latin1')
  const answer = new Promise<string>((resolve) => socket.once('data', resolve))
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  socket.write(`${head}content-length: ${batch.length}\r\n\r\n`)
  socket.write(batch.subarray(0, batch.length - last))
  return {
    end: () => socket.write(batch.subarray(batch.length - last)),
    answer,
    [Symbol.dispose]: () => socket.destroy(),
  }
}

test.each([
  ['by the wait', 1],
  ['by a query', 3_600_000],
])(
  'a batch of which a part could not be stored when it was settled %s never gets a receipt',
  async (by, settleMs) => {
    await using folder = await tempFolder()
    const disk = new Disk()
    await using server = await TestServer.start(folder.path, disk.of, { settleMs })
    const drone = new Drone('hexa-7')
    await server.register(drone)
    const label = labelOf('/a')
    const [first, second] = [await drone.data(label, 0, 'one'), await drone.data(label, 3, 'two')]
    disk.isFull = true
    using batch = beginBatch(server.url, first, second)
    await expect
      .poll(async () => {
        if (by === 'by a query') await ask(server.url, paths.receipts, drone.asksFor(first))
        return disk.fullTimes
      })
      .toBeGreaterThan(0)
    disk.isFull = false
    batch.end()

    expect(await batch.answer).toMatch(/^HTTP\/1.1 507 [^]*STORE_FULL/)
    expect(await server.send(drone, first, second)).toEqual(['stored', 'stored'])
    expect((await server.verify()).status).toBe(0)
  },
)

test('a query leaves out what has arrived and cannot be stored', async () => {
  await using folder = await tempFolder()
  const disk = new Disk()
  await using server = await TestServer.start(folder.path, disk.of, { settleMs: 3_600_000 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const stored = await drone.data(label, 0, 'stored')
  const [first, second] = [await drone.data(label, 6, 'one'), await drone.data(label, 9, 'two')]
  await server.send(drone, stored)
  disk.isFull = true
  using _batch = beginBatch(server.url, first, second)
  const held = async (): Promise<number[]> => {
    const answer = await ask(server.url, paths.receipts, drone.asksFor(stored, first))
    return receiptIn(answer, server.key, drone.device).entries.map(({ place }) => place?.seq ?? -1)
  }

  await expect.poll(async () => [await held(), disk.fullTimes]).toEqual([[0], 1])
  disk.isFull = false
  expect(await held()).toEqual([0])
})
