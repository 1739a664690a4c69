import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { serverFault } from '../../server-stub/faults.ts'
import type { BlobStore } from '../../server-stub/store/blob-store.ts'
import { batchOf, Drone, labelOf, post, problemCode } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

/** Sends bytes as they are and returns all that comes back before the server or `ms` ends it. */
function speak(url: string, ...pieces: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => {
      for (const piece of pieces) socket.write(piece)
      socket.end()
    })
    socket.setEncoding('latin1').on('data', (text: string) => (heard += text))
    socket.on('close', () => resolve(heard)).on('error', reject)
  })
}

test('every answer that is an error is a problem with a stable code', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  const record = await drone.data(labelOf('/a'), 0, 'x')
  const chunks = `${server.url}${paths.chunks}`
  const typed = { 'content-type': mediaTypes.batch }
  const answers = [
    [await fetch(`${server.url}/nothing`), 404, 'NOT_FOUND'],
    [await fetch(chunks), 405, 'METHOD_NOT_ALLOWED'],
    [await fetch(chunks, { method: 'POST' }), 400, 'BATCH_EMPTY'],
    [await fetch(chunks, { method: 'POST', headers: typed }), 400, 'BATCH_EMPTY'],
    [await fetch(chunks, { method: 'POST', body: '{}' }), 415, 'MEDIA_TYPE_WRONG'],
    [
      await fetch(chunks, { method: 'POST', body: 'x', headers: { ...typed, 'content-encoding': 'gzip' } }),
      415,
      'CODING_UNSUPPORTED',
    ],
    [await fetch(chunks, { method: 'POST', body: 'garbage', headers: typed }), 400, 'BATCH_MALFORMED'],
    [
      await fetch(chunks, { method: 'POST', body: Buffer.from(record.bytes), headers: typed }),
      401,
      'DEVICE_UNKNOWN',
    ],
  ] as const

  for (const [response, status, code] of answers) {
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toContain(mediaTypes.problem)
    expect(await response.json()).toMatchObject({ status, code })
  }
})

test('what is not HTTP gets a problem, and the server goes on', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)

  expect(await speak(server.url, 'this is not HTTP\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [^]*REQUEST_MALFORMED/)
  const fat = `GET / HTTP/1.1\r\nhost: x\r\nfat: ${'x'.repeat(100_000)}\r\n\r\n`
  expect(await speak(server.url, fat)).toMatch(/^HTTP\/1\.1 431 [^]*HEADERS_TOO_LARGE/)
  expect((await fetch(`${server.url}${paths.health}`)).status).toBe(200)
})

test('an unknown key id is 401, though the device is known', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  await server.register(new Drone('hexa-7'))
  const stranger = new Drone('hexa-7')

  const answer = await post(server.url, batchOf(await stranger.data(labelOf('/a'), 0, 'x')))

  expect([answer.status, problemCode(answer)]).toEqual([401, 'KEY_UNKNOWN'])
  expect(answer.headers.get('www-authenticate')).toMatch(/^Logbox /)
})

test('garbage of every length, before and after a good record, is never an error of the server', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const { bytes } = await drone.data(labelOf('/a'), 0, 'x')
  const garbage = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 600 }),
    fc.nat(bytes.length - 1).map((length) => bytes.subarray(0, length + 1)),
    fc
      .tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }))
      .map(([at, bits]) => flipped(bytes, at, bits)),
  )

  await fc.assert(
    fc.asyncProperty(garbage, fc.boolean(), async (tail, isAfterGood) => {
      const { status } = await post(server.url, isAfterGood ? batchOf(bytes, tail) : tail)
      expect([200, 400, 401, 413]).toContain(status)
    }),
    { numRuns: 300 },
  )
  expect(server.facts).not.toContain('broken')
  expect((await server.verify()).status).toBe(0)
})

function flipped(bytes: Uint8Array, at: number, bits: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ bits
  return copy
}

test('what was whole before the damage is kept, though there is no receipt', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const [first, second] = [await drone.data(label, 0, 'one'), await drone.data(label, 3, 'two')]

  const malformed = await post(server.url, batchOf(first, Buffer.from('not a record')))
  const cut = await post(server.url, batchOf(second, first.bytes.subarray(0, 40)))

  expect([malformed.status, problemCode(malformed)]).toEqual([400, 'BATCH_MALFORMED'])
  expect([cut.status, problemCode(cut)]).toEqual([400, 'BATCH_CUT'])
  expect(await server.send(drone, first, second)).toEqual(['duplicate', 'duplicate'])
})

test('a record and a batch over the limits are 413, before their bytes are waited for', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const small = await drone.data(labelOf('/a'), 0, 'x')
  const bodyHead = small.bytes.length - 2
  const fat = Buffer.concat([small.bytes.subarray(0, bodyHead), Buffer.from([0x5a, 0x7f, 0xff, 0xff, 0xff])])
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`

  const heard = await speak(server.url, `${head}content-length: 2000000000\r\n\r\n`, fat)
  expect(heard).toMatch(/^HTTP\/1\.1 413 [^]*BATCH_TOO_LARGE/)

  const label = labelOf('/b')
  const noise = randomBytes(6 * 2 ** 20)
  const records = []
  for (let at = 0; at < 3; at++) records.push(await drone.data(label, at * noise.length, noise))
  const answer = await post(server.url, batchOf(...records))
  expect([answer.status, problemCode(answer)]).toEqual([413, 'BATCH_TOO_LARGE'])
  expect(await server.send(drone, ...records.slice(0, 2))).toEqual(['duplicate', 'duplicate'])
})

test('a client that goes on sending after its answer is cut off', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => undefined).resume()
  socket.write(`${head}content-length: 900000000\r\n\r\nnot a record`)

  const megabyte = Buffer.alloc(2 ** 20)
  const send = (): void => {
    while (socket.writable && socket.write(megabyte)) {
      // As fast as the server takes it.
    }
  }
  socket.on('drain', send)
  send()

  await closed
  expect((await fetch(`${server.url}${paths.health}`)).status).toBe(200)
})

test('a connection on which nothing moves is closed, and what had arrived is kept', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { idleMs: 2000 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'kept')
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => undefined)
  socket.write(`${head}content-length: 100000\r\n\r\n`)
  socket.write(record.bytes)

  await closed
  await expect.poll(() => server.facts).toContain('committed')
  expect(await server.send(drone, record)).toEqual(['duplicate'])
})

test('a stop finishes what is in flight', async () => {
  await using folder = await tempFolder()
  const server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const { bytes } = await drone.data(labelOf('/a'), 0, 'x')
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const heard = new Promise<string>((resolve) => socket.setEncoding('latin1').once('data', resolve))
  socket.write(`${head}content-length: ${bytes.length}\r\n\r\n`)
  socket.write(bytes.subarray(0, 100))
  await expect.poll(async () => (await fetch(`${server.url}${paths.health}`)).status).toBe(200)

  const stopped = server[Symbol.asyncDispose]()
  socket.write(bytes.subarray(100))

  expect(await heard).toMatch(/^HTTP\/1\.1 200 /)
  socket.destroy()
  await stopped
})

test('ready says whether a record could be stored, and healthy that the server lives', async () => {
  await using folder = await tempFolder()
  let isFull = false
  const store = (real: BlobStore): BlobStore => ({
    draft: () => real.draft(),
    has: (key) => real.has(key),
    sync: (key) => real.sync(key),
    read: (key, offset, bytes) => real.read(key, offset, bytes),
    list: (prefix) => real.list(prefix),
    removeDrafts: () => real.removeDrafts(),
    probe: async () => {
      if (isFull) throw serverFault('STORE_FULL', 'cannot store: ENOSPC')
      await real.probe()
    },
  })
  await using server = await TestServer.start(folder.path, (parts) => ({ store: store(parts.store) }), {
    readyMs: 0,
  })
  const status = async (path: string): Promise<number> => (await fetch(`${server.url}${path}`)).status

  expect(await status(paths.ready)).toBe(200)
  isFull = true
  expect([await status(paths.ready), await status(paths.health)]).toEqual([503, 200])
  isFull = false
  expect(await status(paths.ready)).toBe(200)
})

test('the metrics count records, refusals, forks, losses and bytes', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const record = await drone.data(label, 0, 'x')
  await server.send(drone, record, record, drone.loss(label, 1, 41, 'deleted'))
  drone.newEpoch(1)
  await server.send(drone, await drone.data(label, 0, 'y'), await new Drone('hexa-8').data(label, 0, 'z'))

  const text = await (await fetch(`${server.url}${paths.metrics}`)).text()

  expect(text).toContain('logbox_records_total{outcome="stored"} 2')
  expect(text).toContain('logbox_records_total{outcome="duplicate"} 1')
  expect(text).toContain('logbox_refusals_total{code="DEVICE_MIXED"} 1')
  expect(text).toContain('logbox_forks_total 1')
  expect(text).toContain('logbox_loss_bytes_total{reason="deleted"} 41')
  expect(text).toMatch(/logbox_stored_bytes_total [1-9]/)
  expect(text).toContain('logbox_devices{state="active"} 1')
  expect(text).toMatch(
    /logbox_request_duration_seconds_count\{method="POST",route="\/v1\/chunks",status="200"\} 2/,
  )
})
