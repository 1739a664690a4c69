import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { base64url } from '../../protocol/ids.ts'
import { openStore, type StoreParts } from '../../server-stub/parts.ts'
import { Audit } from '../../server-stub/query/audit.ts'
import { blobsIn } from '../kit/blobs-in.ts'
import { Drone, labelOf, withheld } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { json, run, TestServer } from './test-server.ts'

function change(data: string, ...statements: readonly string[]): void {
  const database = new DatabaseSync(join(data, 'catalog.db'), { enableForeignKeyConstraints: false })
  for (const statement of statements) database.exec(statement)
  database.close()
}

async function verified(data: string): Promise<{ status: number; out: string }> {
  const { status, out } = await run('verify', '--data', data)
  return { status, out: out.toString() }
}

/** A stopped server's folder: two generations of one path, the second closed, a fork, and a body that came later. */
async function filledStore(data: string): Promise<void> {
  await using server = await TestServer.start(data)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [older, newer] = [labelOf('/a', { vehicle: 'hexa-7' }), labelOf('/a')]
  await server.send(drone, await drone.data(older, 0, 'older'))
  await server.send(drone, await drone.fork(older, 0, 'a fork'))
  const late = await drone.data(newer, 0, 'newer')
  await server.send(drone, withheld(late))
  await server.send(drone, late)
  await server.send(drone, drone.close(newer, 'newer'))
}

test('forks and bodies that came late are no problem but that there is a fork', async () => {
  await using folder = await tempFolder()
  await filledStore(folder.path)
  expect((await verified(folder.path)).out).toMatch(
    /^FORK hexa-7 1\/0 in .*\nchain of hexa-7, epoch 1, ends with record 2, .*\nreceipt key .*\nrecords 5, .*: problems 1\n$/,
  )
})

test.each([
  ['a record that nothing superseded', 'ROLE_WRONG', "UPDATE records SET role = 2 WHERE kind = 'close'"],
  ['all records superseded', 'ROLE_WRONG', 'UPDATE records SET role = 2'],
  ['a fork of nothing', 'ROLE_WRONG', "UPDATE records SET role = 1 WHERE kind = 'close'"],
  [
    'a fork and a first record that changed places',
    'ROLE_WRONG',
    'UPDATE records SET role = role + 10 WHERE seq = 0; UPDATE records SET role = 11 - role WHERE seq = 0',
  ],
  ['a stream whose first record is another', 'STREAM_WRONG', 'UPDATE streams SET firstSeq = 9 WHERE id = 1'],
  ['a stream of another epoch', 'STREAM_WRONG', 'UPDATE streams SET firstEpoch = 2 WHERE id = 1'],
  [
    'a stream without records',
    'STREAM_WRONG',
    `INSERT INTO streams (device, stream, path, tags, firstEpoch, firstSeq, labelEpoch, labelSeq, firstSeenMs, lastSeenMs)
      SELECT device, 'BBBBBBBBBBBBBBBBBBBBBA', path, tags, 1, 0, 1, 0, 5, 5 FROM streams LIMIT 1`,
  ],
  ['a stream of another device', 'STREAM_WRONG', "UPDATE streams SET device = 'other'"],
  ['a label that no record has', 'LABEL_WRONG', "UPDATE streams SET tags = '[]' WHERE id = 1"],
  ['a blob of another size', 'BYTES_UNKNOWN', 'UPDATE blobs SET bytes = bytes + 1 WHERE id = 1'],
  ['records of no blob', 'CATALOG_DAMAGED', 'DELETE FROM blobs WHERE id = 1'],
  [
    'a receipt key that is no longer pinned',
    'RECEIPT_KEY_WRONG',
    "DELETE FROM settings WHERE name = 'receiptKey'",
  ],
] as const)('verify finds %s: %s', async (_what, code, statement) => {
  await using folder = await tempFolder()
  await filledStore(folder.path)
  change(folder.path, statement)

  const { status, out } = await verified(folder.path)

  expect(status).toBe(74)
  expect(out).toMatch(new RegExp(`^${code} `, 'm'))
})

test('verify finds a blob that is gone with its records', async () => {
  await using folder = await tempFolder()
  await filledStore(folder.path)
  for (const area of ['records', 'forks']) await rm(join(folder.path, area), { recursive: true })
  change(folder.path, 'DELETE FROM records', 'DELETE FROM streams')

  expect((await verified(folder.path)).out).toMatch(
    /^BLOB_MISSING in records\/\S+ - the store does not have it/m,
  )
})

test('verify finds a closed file with another content, whatever the catalog remembers of it', async () => {
  await using folder = await tempFolder()
  {
    await using server = await TestServer.start(folder.path)
    const drone = new Drone('hexa-7')
    await server.register(drone)
    const [other, cut] = [labelOf('/other'), labelOf('/cut')]
    await server.send(drone, await drone.data(other, 0, 'abcde'), drone.close(other, 'ABCDE'))
    await server.send(drone, await drone.data(cut, 0, 'a'), drone.close(cut, 'abc'))
  }
  await run('files', '--data', folder.path)
  change(
    folder.path,
    "UPDATE streams SET hashedSha256 = (SELECT sha256 FROM records WHERE kind = 'close' LIMIT 1)",
  )

  expect(await json('files', '--data', folder.path)).toMatchObject([{ whole: false }, { whole: false }])
  expect(await verified(folder.path)).toMatchObject({
    status: 74,
    out: expect.stringMatching(
      /^CONTENT_WRONG hexa-7 1\/1 .* does not have the hash .*\nCONTENT_WRONG hexa-7 1\/3 .* bytes 1 to 3 .*\n/,
    ),
  })
})

test('what is remembered of a content holds only for the records that it was read from', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await server.send(
    drone,
    await drone.data(label, 0, 'ab'),
    await drone.data(label, 2, 'cd'),
    drone.close(label, 'abcd'),
  )
  expect(await server.files()).toMatchObject([{ whole: true }])

  change(
    folder.path,
    'UPDATE records SET blobOffset = (SELECT blobOffset FROM records WHERE seq = 0) WHERE seq = 1',
  )

  expect(await server.files()).toMatchObject([{ whole: false }])
})

test('verify says where each chain ends, so that it can be compared with the drone', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const old = await drone.data(label, 0, 'abc')
  await server.send(drone, old)
  drone.newEpoch(2)
  const [first, second] = [await drone.data(label, 3, 'def'), await drone.data(label, 6, 'ghi')]
  await server.send(drone, first, second)

  expect(await json('verify', '--data', folder.path)).toMatchObject({
    problems: [],
    receiptKey: base64url(server.key.bytes),
    chains: [
      { device: 'hexa-7', epoch: 1, seq: 0, digest: base64url(old.digest) },
      { device: 'hexa-7', epoch: 2, seq: 1, digest: base64url(second.digest) },
    ],
  })
})

/** The same parts, where something happens before a method of the catalog's snapshot gives its rows. */
function meanwhile(parts: StoreParts, method: 'blobs' | 'devices', happens: () => Promise<void>): StoreParts {
  let isDue = true
  const catalog = new Proxy(parts.catalog, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (name === 'snapshot') {
        return async () => meanwhile({ ...parts, catalog: await target.snapshot() }, method, happens).catalog
      }
      if (name !== method) return value.bind(target)
      return async function* () {
        if (isDue) await happens()
        isDue = false
        yield* target.blobs()
      }
    },
  })
  return { ...parts, catalog }
}

test('what a running server stores while verify reads is no problem', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await server.send(drone, await drone.data(label, 0, 'abc'))
  await using store = await openStore(folder.path)
  const parts = meanwhile(store, 'blobs', async () => {
    const renamed = { ...label, path: '/a.1' }
    await server.send(drone, await drone.data(renamed, 3, 'def'), drone.close(renamed, 'abcdef'))
    const other = new Drone('quad-1')
    await server.register(other)
    await server.send(other, await other.data(labelOf('/b'), 0, 'new'))
  })

  expect(await Array.fromAsync(new Audit(parts).findings())).toEqual([])
  expect(await verified(folder.path)).toMatchObject({ status: 0 })
})

test('a file of which only forks are here is not whole, and says so', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  await server.send(drone, await drone.data(labelOf('/a'), 0, 'first'))
  await server.send(drone, await drone.fork(labelOf('/b'), 0, 'precious'))

  expect(await server.files()).toMatchObject([
    { path: '/a', whole: true },
    { path: '/b', bytes: 0, whole: false, forks: 1, why: expect.stringContaining('forks') },
  ])
  expect((await run('files', '--data', folder.path)).out.toString()).toMatch(
    /\tnothing is here but forks: .*\t\/b\t/,
  )
  const { status, out, err } = await server.cat('hexa-7', '/b')
  expect([status, out.length]).toEqual([75, 0])
  expect(err).toMatch(/^nothing is here but forks: /)
})

test('a file whose blobs are gone or cut is not whole, closed or not', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [open, closed] = [labelOf('/open'), labelOf('/closed')]
  await server.send(drone, await drone.data(open, 0, 'abc'))
  await server.send(drone, await drone.data(open, 3, 'def'))
  await server.send(drone, await drone.data(closed, 0, 'ghi'))
  await server.send(drone, drone.close(closed, 'ghi'))
  expect(await server.files()).toMatchObject([{ whole: true }, { whole: true }])
  const [first = '', , , close = ''] = await blobsIn(folder.path)
  await writeFile(first, (await readFile(first)).subarray(0, -1))
  await rm(close)

  expect(await server.files()).toMatchObject([
    {
      path: '/open',
      bytes: 3,
      whole: false,
      damaged: [{ from: 0, to: 3, reason: 'its record is not in the store' }],
    },
    { path: '/closed', bytes: 3, whole: false, why: '1 of its blobs are not in the store' },
  ])
})

test('cat takes a name as it is before it takes it as files shows another', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const literal = String.raw`/a\x0ab`
  await server.send(drone, await drone.data(labelOf(literal), 0, 'a backslash'))
  await server.send(drone, await drone.data(labelOf('/a\nb'), 0, 'a line'))
  const shown = (await run('files', '--data', folder.path)).out
    .toString()
    .split('\n')
    .map((line) => line.split('\t')[4])

  expect(shown).toEqual([String.raw`/a\\x0ab`, literal, undefined])
  expect(await server.cat('hexa-7', literal)).toMatchObject({ out: Buffer.from('a backslash'), err: '' })
  expect(await server.cat('hexa-7', '/a\nb')).toMatchObject({ out: Buffer.from('a line'), err: '' })
  expect(await server.cat('hexa-7', String.raw`/a\\x0ab`)).toMatchObject({
    out: Buffer.from('a backslash'),
    err: '',
  })
})
