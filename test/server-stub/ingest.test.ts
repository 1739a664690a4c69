import { relative } from 'node:path'
import { expect, test } from 'vitest'
import { limits } from '../../protocol/contract.ts'
import { blobsIn } from '../kit/blobs-in.ts'
import { batchOf, Drone, labelOf, post, problemCode, receiptIn, withheld } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer } from './test-server.ts'

test('what was sent comes back byte for byte, and the receipt names every record', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/var/log/flight/42.log', { vehicle: 'hexa-7' })
  const content = Buffer.from('no newline at the end, \0 and \xff in the middle', 'latin1')
  const first = await drone.data(label, 0, content.subarray(0, 10))
  const second = await drone.data(label, 10, content.subarray(10))

  const receipt = await server.receipt(drone, first, second, drone.close(label, content))

  expect(receipt.entries.map(({ outcome }) => outcome)).toEqual(['stored', 'stored', 'stored'])
  expect(receipt.entries.map(({ place }) => place?.seq)).toEqual([0, 1, 2])
  expect(Buffer.from(receipt.entries[0]?.digest ?? [])).toEqual(Buffer.from(first.digest))
  expect(await server.cat('hexa-7', '/var/log/flight/42.log')).toMatchObject({
    status: 0,
    out: content,
    err: '',
  })
  expect(await server.files()).toMatchObject([
    {
      device: 'hexa-7',
      path: '/var/log/flight/42.log',
      bytes: content.length,
      whole: true,
      missing: [],
      lost: [],
    },
  ])
  expect((await server.verify()).status).toBe(0)
})

test('the bytes are stored before they are committed, and committed before the receipt goes out', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)

  await server.send(drone, await drone.data(labelOf('/a'), 0, 'x'))
  await expect.poll(() => server.facts).toContain('receiptSent')

  expect(server.facts.filter((fact) => fact !== 'requestEnded')).toEqual([
    'listening',
    'stored',
    'committed',
    'receiptSent',
  ])
})

// LB-101
test('a record that comes again is a duplicate, in the same batch as in a later one', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'once')

  expect(await server.send(drone, record, record)).toEqual(['stored', 'duplicate'])
  expect(await server.send(drone, record)).toEqual(['duplicate'])

  expect(await blobsIn(folder.path)).toHaveLength(1)
  expect((await server.verify()).out.toString()).toContain('records 1,')
})

test('the same batch sent eight times at once is stored once', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const records = await Promise.all([0, 1, 2, 3, 4, 5].map((at) => drone.data(label, at, `${at}`)))
  const batches = [0, 1, 2, 3, 4, 5, 0, 0].map((from) => records.slice(from))

  const outcomes = await Promise.all(batches.map((batch) => server.send(drone, ...batch)))

  expect(outcomes.flat().filter((outcome) => outcome === 'stored')).toHaveLength(records.length)
  expect(await server.cat('hexa-7', '/a')).toMatchObject({ status: 0, out: Buffer.from('012345') })
  expect((await server.verify()).out.toString()).toContain('records 6,')
})

test('an envelope without its body is stored as lost, until the body comes', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const [head, tail] = [await drone.data(label, 0, 'head'), await drone.data(label, 4, 'tail')]

  expect(await server.send(drone, withheld(head), tail)).toEqual(['storedWithoutBody', 'stored'])
  expect(await server.send(drone, withheld(head))).toEqual(['storedWithoutBody'])
  expect(await server.files()).toMatchObject([
    { bytes: 4, whole: false, missing: [], lost: [{ from: 0, to: 4, reason: 'evicted' }] },
  ])
  expect(await server.cat('hexa-7', '/a')).toMatchObject({ status: 75, out: Buffer.from('tail') })

  expect(await server.send(drone, head)).toEqual(['stored'])
  expect(await server.send(drone, withheld(head), head)).toEqual(['duplicate', 'duplicate'])
  expect(await server.files()).toMatchObject([{ bytes: 8, whole: true, lost: [] }])
  expect(await server.cat('hexa-7', '/a')).toMatchObject({ status: 0, out: Buffer.from('headtail') })
  expect((await server.verify()).status).toBe(0)
})

test('of two records for one place in the chain the first stays, and the second is stored apart and reported', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const first = await drone.data(label, 0, 'first')
  const second = await drone.fork(label, 0, 'other')

  expect(await server.send(drone, first)).toEqual(['stored'])
  expect(await server.send(drone, second)).toEqual(['forked'])
  expect(await server.send(drone, second, first)).toEqual(['forked', 'duplicate'])

  const areas = (await blobsIn(folder.path)).map((blob) => relative(folder.path, blob).split('/')[0])
  expect(areas).toEqual(['forks', 'records'])
  expect(await server.cat('hexa-7', '/a')).toMatchObject({ status: 0, out: Buffer.from('first') })
  expect(await server.files()).toMatchObject([{ forks: 1, bytes: 5 }])
  const { status, out } = await server.verify()
  expect(status).toBe(74)
  expect(out.toString()).toMatch(/^FORK hexa-7 1\/0 in forks\/\S+ - another record holds this place/m)
})

test('paths are labels: none of them reaches the disk of the server', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const paths = [
    '/../../../../tmp/escape',
    '/two\nlines\u001b[31m',
    `/${'n'.repeat(255)}`,
    Buffer.from([0x2f, 0xff, 0xfe, 0x62, 0x0a]),
    '/right\u202eleft',
  ]
  const records = []
  for (const [index, path] of paths.entries())
    records.push(await drone.data(labelOf(path), 0, `file ${index}`))

  await server.send(drone, ...records)

  expect(await blobsIn(folder.path)).toHaveLength(1)
  const files = await server.files()
  expect(files.map(({ path }) => path)).toEqual([
    ...paths.slice(0, 3),
    String.raw`/\xff\xfeb\x0a`,
    '/right\u202eleft',
  ])
  expect(files[3]?.pathBytes).toBe(Buffer.from([0x2f, 0xff, 0xfe, 0x62, 0x0a]).toString('base64url'))
  const listed = (await run('files', '--data', folder.path)).out.toString('utf8')
  expect(listed).not.toMatch(/[\p{Bidi_Control}]|(?!\n|\t)\p{Cc}/u)
  expect(listed.trimEnd().split('\n')).toHaveLength(paths.length)
  for (const [index, { path }] of files.entries()) {
    expect((await server.cat('hexa-7', path)).out.toString()).toBe(`file ${index}`)
  }
})

test('a device that is revoked is turned away at once, and what it stored stays readable', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  const label = labelOf('/a')
  const [first, second] = [await drone.data(label, 0, 'kept'), await drone.data(label, 4, 'late')]

  expect(problemCode(await post(server.url, batchOf(first)))).toBe('DEVICE_UNKNOWN')
  await server.register(drone)
  expect(await server.send(drone, first)).toEqual(['stored'])
  await run('device', 'revoke', 'hexa-7', '--data', folder.path)
  const answer = await post(server.url, batchOf(second))

  expect(answer.status).toBe(403)
  expect(problemCode(answer)).toBe('KEY_REVOKED')
  expect(await server.cat('hexa-7', '/a')).toMatchObject({ status: 0, out: Buffer.from('kept') })
  expect((await server.verify()).status).toBe(0)
})

test('a receipt covers the largest batch, and one record more is turned away with what fits kept', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const records = []
  for (let at = 0; at <= limits.maxBatchRecords; at++) records.push(drone.loss(label, at, 1, 'unreadable'))

  const answer = await post(server.url, batchOf(...records))
  expect(answer.status).toBe(413)
  expect(problemCode(answer)).toBe('BATCH_TOO_MANY')

  const again = await post(server.url, batchOf(...records.slice(0, limits.maxBatchRecords)))
  const outcomes = receiptIn(again, server.key, drone.device).entries.map(({ outcome }) => outcome)
  expect(new Set(outcomes)).toEqual(new Set(['duplicate']))
})

test('after a new epoch the content follows the order of the epochs, not of arrival', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const old = await drone.data(label, 0, 'old header')
  drone.newEpoch(2)
  const young = await drone.data(label, 0, 'NEW')

  await server.send(drone, young)
  await server.send(drone, old)

  expect((await server.cat('hexa-7', '/a')).out.toString()).toBe('NEW header')
  expect((await server.verify()).status).toBe(0)
})

test('of several files at one path the newest is given, and the others are named', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [older, newer] = [labelOf('/a'), labelOf('/a')]
  await server.send(drone, await drone.data(older, 0, 'older'), await drone.data(newer, 0, 'newer'))

  const { out, err, status } = await server.cat('hexa-7', '/a')

  expect([out.toString(), status]).toEqual(['newer', 0])
  expect(err).toContain(older.stream)
  expect((await server.cat('hexa-7', older.stream)).out.toString()).toBe('older')
})
