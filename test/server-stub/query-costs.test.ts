import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { verifyStreams } from '../../protocol/streams.ts'
import type { Parts } from '../../server-stub/parts.ts'
import type { BlobStore } from '../../server-stub/store/blob-store.ts'
import { ask, Drone, labelOf, problemCode, receiptIn } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

test('a question that repeats itself is none', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'x')
  const again = drone.asksFor(record, await drone.data(labelOf('/b'), 0, 'y'), record)

  const answers = [
    await ask(server.url, paths.receipts, again),
    await ask(server.url, paths.streams, drone.asksAbout('/a', '/b', '/a').bytes),
  ]
  expect(answers.map(problemCode)).toEqual(['QUERY_MALFORMED', 'QUERY_MALFORMED'])
})

test('records that are small on the disk cost a query what they inflate to', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { maxQueryReadBytes: 250_000 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const records = []
  for (const name of ['/a', '/b', '/c']) {
    records.push(await drone.data(labelOf(name), 0, Buffer.alloc(100_000)))
  }
  await server.send(drone, ...records)

  const answer = await ask(server.url, paths.receipts, drone.asksFor(...records))
  expect(receiptIn(answer, server.key, drone.device).entries.map(({ place }) => place?.seq)).toEqual([0, 1])
})

test('of streams that have more records than a query may look at, the rest is left out', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { maxQueryRows: 3 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [first, second] = [labelOf('/a'), labelOf('/b')]
  for (const label of [first, second]) {
    await server.send(drone, await drone.data(label, 0, 'x'), await drone.data(label, 1, 'y'))
  }
  const { bytes, digest } = drone.asksAbout('/a', '/b')

  const { body } = await ask(server.url, paths.streams, bytes)
  const held = verifyStreams(body, [server.key], { device: drone.device, digest, paths: 2 })
  expect(held.ok && held.value.streams.map(({ stream }) => stream)).toEqual([first.stream])
})

/** A store whose reads wait to be let go. */
class SlowDisk {
  reads = 0
  readonly #begun = Promise.withResolvers<void>()
  readonly #released = Promise.withResolvers<void>()

  get begun(): Promise<void> {
    return this.#begun.promise
  }

  release(): void {
    this.#released.resolve()
  }

  readonly under = ({ store }: Parts): Partial<Parts> => {
    const read: BlobStore['read'] = async (...which) => {
      this.reads++
      this.#begun.resolve()
      await this.#released.promise
      return store.read(...which)
    }
    return {
      store: new Proxy(store, {
        get: (target, name) => {
          const value: unknown = name === 'read' ? read : Reflect.get(target, name)
          return typeof value === 'function' ? (value as () => unknown).bind(target) : value
        },
      }),
    }
  }
}

test('when who asked is gone, no more is read for it', async () => {
  await using folder = await tempFolder()
  const disk = new SlowDisk()
  await using server = await TestServer.start(folder.path, disk.under)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const records = [await drone.data(label, 0, 'x'), await drone.data(label, 1, 'y')]
  await server.send(drone, ...records)
  const query = drone.asksFor(...records)
  const client = connect(Number(new URL(server.url).port), '127.0.0.1')
  client.write(`POST ${paths.receipts} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.query}\r\n`)
  client.write(`content-length: ${query.length}\r\n\r\n`)
  client.write(query)
  await disk.begun
  client.destroy()
  await once(client, 'close')
  // A whole exchange later the server has heard of it.
  await fetch(`${server.url}${paths.health}`)
  disk.release()

  await expect.poll(() => server.facts).toContain('queried')
  expect(disk.reads).toBe(1)
})
