import { rmSync, truncateSync } from 'node:fs'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { hex } from '../../protocol/ids.ts'
import { readQuery } from '../../protocol/query.ts'
import { blobsIn } from '../kit/blobs-in.ts'
import { ask, batchOf, Drone, labelOf, problemCode, receiptIn, withheld, type Sealed } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer } from './test-server.ts'

/** What the receipt says of each of these, by its place in the query; undefined: it was left out. */
async function held(
  server: TestServer,
  drone: Drone,
  ...records: readonly Sealed[]
): Promise<(string | undefined)[]> {
  const query = drone.asksFor(...records)
  const { entries, query: answered } = receiptIn(
    await ask(server.url, paths.receipts, query),
    server.key,
    drone.device,
  )
  const read = readQuery(query)
  expect(answered && hex(answered)).toBe(read.ok && hex(read.value.digest))
  const byDigest = new Map(entries.map((entry) => [hex(entry.digest), entry.outcome]))
  return records.map(({ digest }) => byDigest.get(hex(digest)))
}

test('a query is answered with the records that are here, each as what it is, and no others', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const [kept, evicted] = [await drone.data(label, 0, 'one'), await drone.data(label, 3, 'two')]
  const lost = drone.loss(label, 6, 4, 'deleted')
  const closed = drone.close(label, 'one')
  const unsent = await drone.data(label, 10, 'three')
  await server.send(drone, kept, withheld(evicted), lost, closed)
  drone.newEpoch(1)
  const fork = await drone.data(label, 0, 'another')
  await server.send(drone, fork)

  expect(await held(server, drone, kept, evicted, lost, closed, unsent, fork)).toEqual([
    'duplicate',
    'storedWithoutBody',
    'duplicate',
    'duplicate',
    undefined,
    'forked',
  ])
})

test('a record whose bytes the store has lost or damaged is left out', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [gone, cut] = [await drone.data(labelOf('/a'), 0, 'gone'), await drone.data(labelOf('/b'), 0, 'cut')]
  await server.send(drone, gone)
  await server.send(drone, cut)
  const [first = '', second = ''] = await blobsIn(folder.path)
  rmSync(first)
  truncateSync(second, 50)

  expect(await held(server, drone, gone, cut)).toEqual([undefined, undefined])
  expect(await server.send(drone, gone, cut)).toEqual(['stored', 'stored'])
  expect(await held(server, drone, gone, cut)).toEqual(['duplicate', 'duplicate'])
})

const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`

/** A request whose link dies in silence: the server hears of no end. */
function hang(url: string, bytes: Uint8Array): Disposable {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`${head}content-length: 1000000\r\n\r\n`)
  socket.write(bytes)
  return { [Symbol.dispose]: () => socket.destroy() }
}

test('what arrived whole before a link died in silence is safe as soon as the drone asks', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { settleMs: 3_600_000 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const [whole, torn] = [await drone.data(label, 0, 'whole'), await drone.data(label, 5, 'torn')]
  using _hanging = hang(server.url, batchOf(whole, torn.bytes.subarray(0, 200)))

  await expect.poll(() => held(server, drone, whole, torn)).toEqual(['duplicate', undefined])
  expect(await server.send(drone, whole, torn)).toEqual(['duplicate', 'stored'])
  expect((await server.verify()).status).toBe(0)
})

test('what arrived whole is safe after a while though the rest never comes, and nobody asks', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { settleMs: 20 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const [first, second] = [await drone.data(label, 0, 'one'), await drone.data(label, 3, 'two')]
  using _hanging = hang(server.url, batchOf(first, second))

  await expect.poll(async () => (await server.cat(drone.device, '/a')).out.toString()).toBe('onetwo')
})

test('a batch that was made durable in parts gets one receipt, for all of it, in its order', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { settleMs: 1 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const [old, ...fresh] = [
    await drone.data(label, 0, 'a'),
    await drone.data(label, 1, 'b'),
    await drone.data(label, 2, 'c'),
  ]
  await server.send(drone, old)
  const batch = batchOf(old, ...fresh)
  const commits = (): number => server.facts.filter((fact) => fact === 'committed').length
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const answered = new Promise<string>((resolve) => socket.setEncoding('latin1').once('data', resolve))
  socket.write(`${head}content-length: ${batch.length}\r\n\r\n`)
  socket.write(batchOf(old, ...fresh.slice(0, 1)))
  await expect.poll(commits).toBeGreaterThanOrEqual(2)
  socket.write(batchOf(...fresh.slice(1)))

  const body = Buffer.from((await answered).split('\r\n\r\n').slice(1).join('\r\n\r\n'), 'latin1')
  socket.destroy()
  const { entries } = receiptIn({ status: 200, headers: new Headers(), body }, server.key, drone.device)
  expect(entries.map(({ place, outcome }) => [place?.seq, outcome])).toEqual([
    [0, 'duplicate'],
    [1, 'stored'],
    [2, 'stored'],
  ])
})

test('who may not ask is told why, and learns nothing', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const [drone, stranger, revoked] = [new Drone('hexa-7'), new Drone('hexa-8'), new Drone('hexa-9')]
  await server.register(drone)
  await server.register(revoked)
  const record = await drone.data(labelOf('/a'), 0, 'x')
  await server.send(drone, record)
  await run('device', 'revoke', 'hexa-9', '--data', folder.path)
  const query = drone.asksFor(record)
  const forged = Uint8Array.from(query)
  forged[query.length - 40] = (forged[query.length - 40] ?? 0) ^ 1
  const other = new Drone('hexa-7').asksFor(record)

  const answers = []
  for (const body of [stranger.asksFor(record), revoked.asksFor(record), other, forged]) {
    answers.push(await ask(server.url, paths.receipts, body))
  }
  answers.push(await ask(server.url, paths.receipts, Buffer.from('nonsense')))
  answers.push(await ask(server.url, paths.receipts, drone.asksAbout('/a').bytes))
  answers.push(await ask(server.url, paths.streams, query))
  answers.push(await ask(server.url, paths.receipts, Buffer.alloc(300_000)))
  expect(answers.map((answer) => [answer.status, problemCode(answer)])).toEqual([
    [401, 'DEVICE_UNKNOWN'],
    [403, 'KEY_REVOKED'],
    [401, 'KEY_UNKNOWN'],
    [401, 'QUERY_UNSIGNED'],
    [400, 'QUERY_MALFORMED'],
    [400, 'QUERY_MALFORMED'],
    [400, 'QUERY_MALFORMED'],
    [413, 'QUERY_TOO_LARGE'],
  ])
})

test('of records that are more than a query may read, the rest is left out', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { maxQueryReadBytes: 1000 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const records = []
  for (let at = 0; at < 8; at++) records.push(await drone.data(label, at, 'x'))
  await server.send(drone, ...records)

  const said = await held(server, drone, ...records)
  expect(said.slice(0, 2)).toEqual(['duplicate', 'duplicate'])
  expect(said.at(-1)).toBe(undefined)
})

test('no bytes whatsoever make the server fail', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const good = [drone.asksFor(await drone.data(labelOf('/a'), 0, 'x')), drone.asksAbout('/a').bytes]
  const damaged = fc
    .tuple(fc.constantFrom(...good), fc.nat(), fc.integer({ min: 1, max: 255 }))
    .map(([query, at, bits]) =>
      query.map((byte, index) => (index === at % query.length ? byte ^ bits : byte)),
    )
  const path = fc.constantFrom(paths.receipts, paths.streams)

  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 400 }), damaged), path, async (body, to) => {
      expect([400, 401]).toContain((await ask(server.url, to, body)).status)
    }),
    { numRuns: 200 },
  )
  expect(server.facts).not.toContain('broken')
})
