import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { serverFault } from '../../server-stub/faults.ts'
import type { BlobKey } from '../../server-stub/store/blob-store.ts'
import { DiskStore } from '../../server-stub/store/disk-store.ts'
import { blobsIn } from '../kit/blobs-in.ts'
import { batchOf, Drone, labelOf, post, withheld } from '../kit/drone.ts'
import { sealing } from '../kit/store-sealing.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer } from './test-server.ts'

test('however --data is written, records are stored', async () => {
  await using folder = await tempFolder()
  const names = [`${folder.path}/a/`, `${folder.path}//b`, relative('.', join(folder.path, 'c'))]
  for (const root of names) {
    const store = new DiskStore(root)
    await using draft = await store.draft()
    await draft.append(Buffer.from('x'))
    await draft.seal('records/x.logb' as BlobKey)
    expect(await store.has('records/x.logb' as BlobKey)).toBe(true)
  }
})

test('a record whose blob is gone, or damaged, is stored again when it comes again', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const record = await drone.data(label, 0, 'precious')
  const fork = await drone.fork(label, 0, 'a fork')
  expect(await server.send(drone, record)).toEqual(['stored'])

  for (const blob of await blobsIn(folder.path)) await rm(blob)
  expect(await server.send(drone, record)).toEqual(['stored'])
  expect(await server.send(drone, record)).toEqual(['duplicate'])
  expect((await server.cat('hexa-7', '/a')).out.toString()).toBe('precious')
  expect((await server.verify()).status).toBe(0)

  expect(await server.send(drone, fork)).toEqual(['forked'])
  await rm(join(folder.path, 'forks'), { recursive: true })
  expect(await server.send(drone, fork)).toEqual(['forked'])
  expect(await blobsIn(join(folder.path, 'forks'))).toHaveLength(1)

  const [blob = ''] = await blobsIn(join(folder.path, 'records'))
  const bytes = await readFile(blob)
  await writeFile(blob, bytes.with(bytes.length - 1, 0))
  expect(await server.send(drone, record)).toEqual(['stored'])
  expect((await server.cat('hexa-7', '/a')).out.toString()).toBe('precious')
})

test('a store whose folders were removed by hand takes new records', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await server.send(drone, await drone.data(label, 0, 'one'))

  await rm(join(folder.path, 'records'), { recursive: true })

  expect(await server.send(drone, await drone.data(label, 3, 'two'))).toEqual(['stored'])
})

test('an envelope whose blob is gone does not keep its body out', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'body')
  expect(await server.send(drone, withheld(record))).toEqual(['storedWithoutBody'])
  for (const blob of await blobsIn(folder.path)) await rm(blob)

  expect(await server.send(drone, record)).toEqual(['stored'])
  expect((await server.verify()).status).toBe(0)
  expect(server.facts).not.toContain('broken')
})

test('of a batch for two areas whose second blob could not be stored nothing is unknown afterwards', async () => {
  await using folder = await tempFolder()
  let fails = true
  const change = sealing(async (draft, key) => {
    if (fails && key.startsWith('forks')) throw serverFault('STORE_FULL', 'cannot store: ENOSPC')
    await draft.seal(key)
  })
  await using server = await TestServer.start(folder.path, change)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await server.send(drone, await drone.data(label, 0, 'first'))
  const fork = await drone.fork(label, 0, 'other')
  const next = await drone.data(label, 5, 'next!')

  expect((await post(server.url, batchOf(next, fork))).status).toBe(507)
  fails = false
  expect(await server.send(drone, next, fork)).toEqual(['duplicate', 'forked'])
  expect((await server.verify()).out.toString()).not.toContain('BLOB_UNKNOWN')
})

test('a blob that became visible though its seal failed is known afterwards', async () => {
  await using folder = await tempFolder()
  let fails = true
  const change = sealing(async (draft, key) => {
    await draft.seal(key)
    if (fails) throw serverFault('STORE_UNWRITABLE', 'cannot store: EIO')
  })
  await using server = await TestServer.start(folder.path, change)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'x')

  expect((await post(server.url, batchOf(record))).status).toBe(507)
  fails = false
  expect(await server.send(drone, record)).toEqual(['duplicate'])
  expect((await server.verify()).status).toBe(0)
})

test('a catalog is rebuilt from what is good in a damaged blob', async () => {
  await using folder = await tempFolder()
  const drone = new Drone('hexa-7')
  const label = labelOf('/a')
  const records = []
  for (let at = 0; at < 20; at += 5) records.push(await drone.data(label, at, 'abcde'))
  {
    await using server = await TestServer.start(folder.path)
    await server.register(drone)
    await server.send(drone, ...records)
  }
  const [blob = ''] = await blobsIn(folder.path)
  const bytes = await readFile(blob)
  const second = records[0]?.bytes.length ?? 0
  await writeFile(blob, bytes.with(0, 0).with(second + 3, 0))
  for (const part of ['', '-wal', '-shm']) await rm(join(folder.path, `catalog.db${part}`), { force: true })
  await run('device', 'add', 'hexa-7', '--key', drone.publicKey, '--data', folder.path)

  await using server = await TestServer.start(folder.path)

  expect(await server.files()).toMatchObject([{ bytes: 10, missing: [[0, 10]] }])
})

test('a receipt key that is gone is not replaced by another', async () => {
  await using folder = await tempFolder()
  await TestServer.start(folder.path).then((server) => server[Symbol.asyncDispose]())
  await rm(join(folder.path, 'receipt.key'))

  await expect(TestServer.start(folder.path)).rejects.toMatchObject({ code: 'RECEIPT_KEY_CHANGED' })
  await expect(stat(join(folder.path, 'receipt.key'))).rejects.toMatchObject({ code: 'ENOENT' })
})
