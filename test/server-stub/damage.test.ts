import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { blobsIn } from '../kit/blobs-in.ts'
import { Drone, labelOf } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer } from './test-server.ts'

const content = 'first half, second half'

/** A stopped server's folder with one closed file in it, and the paths of its blobs. */
async function filledStore(data: string): Promise<string[]> {
  await using server = await TestServer.start(data)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a', { vehicle: 'hexa-7' })
  await server.send(drone, await drone.data(label, 0, content.slice(0, 10)))
  await server.send(drone, await drone.data(label, 10, content.slice(10)), drone.close(label, content))
  return blobsIn(data)
}

test('one flipped bit anywhere in a stored blob is found and named by verify, and never served', async () => {
  await using folder = await tempFolder()
  const data = ['--data', folder.path]
  for (const blob of await filledStore(folder.path)) {
    const whole = await readFile(blob)
    for (let at = 0; at < whole.length; at += 5) {
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8))
      await writeFile(blob, damaged)

      const { status, out } = await run('verify', ...data)
      expect(status, `byte ${at}`).toBe(74)
      expect(out.toString(), `byte ${at}`).toMatch(
        /^RECORD_DAMAGED hexa-7 1\/[012] in records\/hexa-7\/1\/\S+ - /,
      )
      const { out: served } = await run('cat', 'hexa-7', '/a', ...data)
      expect([content, content.slice(0, 10), content.slice(10)], `byte ${at}`).toContain(served.toString())
    }
    await writeFile(blob, whole)
  }
  expect((await run('verify', ...data)).status).toBe(0)
})

test('cat names the damaged record, gives what is left, and exits 75', async () => {
  await using folder = await tempFolder()
  const [blob = ''] = await filledStore(folder.path)
  const bytes = await readFile(blob)
  bytes[bytes.length - 1] = 0
  await writeFile(blob, bytes)

  const { status, out, err } = await run('cat', 'hexa-7', '/a', '--data', folder.path)

  expect([status, out.toString()]).toEqual([75, content.slice(10)])
  expect(err).toMatch(
    /^bytes 0 to 10 are damaged: record 1\/0 in records\/\S+: the body does not have the hash/,
  )
  expect(await run('cat', 'hexa-7', '/a', '--allow-gaps', '--data', folder.path)).toMatchObject({ status: 0 })
})

test('a blob that is cut short, longer, gone, or unknown is found', async () => {
  await using folder = await tempFolder()
  const [blob = ''] = await filledStore(folder.path)
  const whole = await readFile(blob)
  const found = async (): Promise<string> => (await run('verify', '--data', folder.path)).out.toString()

  await writeFile(blob, whole.subarray(0, -1))
  expect(await found()).toMatch(/^RECORD_DAMAGED hexa-7 1\/0 in \S+ - its bytes are not there/)
  await writeFile(blob, Buffer.concat([whole, Buffer.from('x')]))
  expect(await found()).toMatch(/^BYTES_UNKNOWN in \S+ - bytes \d+ to \d+ are not what the catalog says/)
  await rm(blob)
  expect(await found()).toMatch(/^BLOB_MISSING hexa-7 1\/0 in \S+ - /)
  await writeFile(blob, whole)
  await writeFile(join(folder.path, 'records', 'stray.logb'), whole)
  expect(await found()).toMatch(/^BLOB_UNKNOWN in records\/stray\.logb - /)
})

test('whatever one field of the catalog is changed to, verify finds it and no wrong byte is served', async () => {
  await using folder = await tempFolder()
  await filledStore(folder.path)
  const file = join(folder.path, 'catalog.db')
  const changes = [
    'UPDATE records SET start = start + 1 WHERE seq = 1',
    'UPDATE records SET length = length - 1 WHERE seq = 0',
    'UPDATE records SET blobOffset = blobOffset + 1 WHERE seq = 2',
    'UPDATE records SET seq = 5 WHERE seq = 1',
    'UPDATE records SET epoch = 0 WHERE seq = 1',
    'UPDATE records SET digest = zeroblob(32) WHERE seq = 1',
    'UPDATE records SET prev = zeroblob(32) WHERE seq = 1',
    "UPDATE records SET kind = 'loss' WHERE seq = 1",
    'UPDATE records SET hasBody = 0 WHERE seq = 1',
    'UPDATE records SET role = 1 WHERE seq = 1',
    'UPDATE records SET role = 2 WHERE seq = 1',
    'DELETE FROM records WHERE seq = 1',
    "UPDATE streams SET path = CAST('/b' AS BLOB)",
    "UPDATE streams SET tags = '[]'",
    "UPDATE blobs SET key = key || 'x'",
    "UPDATE settings SET value = 'other' WHERE name = 'receiptKey'",
  ]
  for (const change of changes) {
    const whole = await readFile(file)
    const database = new DatabaseSync(file)
    database.exec(change)
    database.close()

    const { status, err } = await run('verify', '--data', folder.path)
    expect({ change, status, err }).toEqual({ change, status: 74, err: '' })
    const { out } = await run('cat', 'hexa-7', '/a', '--data', folder.path)
    expect(['', content, content.slice(0, 10), content.slice(10)], `after ${change}`).toContain(
      out.toString(),
    )
    await writeFile(file, whole)
  }
})

test('one flipped bit in the catalog file never makes a command fail as a bug or serve a wrong byte', async () => {
  await using folder = await tempFolder()
  await filledStore(folder.path)
  const file = join(folder.path, 'catalog.db')
  const whole = await readFile(file)
  for (let at = 0; at < whole.length; at += 1201) {
    const damaged = Buffer.from(whole)
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8))
    await writeFile(file, damaged)
    for (const leftover of ['-wal', '-shm']) await rm(`${file}${leftover}`, { force: true })

    const { status, err } = await run('verify', '--data', folder.path)
    expect([0, 74], `byte ${at}: ${err}`).toContain(status)
    const { status: read, out, err: why } = await run('cat', 'hexa-7', '/a', '--data', folder.path)
    expect([0, 66, 74, 75], `byte ${at}: ${why}`).toContain(read)
    expect(['', content, content.slice(0, 10), content.slice(10)], `byte ${at}`).toContain(out.toString())
  }
})

test('the catalog is rebuilt from the records alone, once the devices are registered again', async () => {
  await using folder = await tempFolder()
  const drone = new Drone('hexa-7')
  const label = labelOf('/a', { vehicle: 'hexa-7' })
  {
    await using server = await TestServer.start(folder.path)
    await server.register(drone)
    await server.send(drone, await drone.data(label, 0, 'kept'))
    await server.send(drone, await drone.fork(label, 0, 'fork'))
  }
  const listed = (await run('files', '--data', folder.path)).out.toString()
  for (const part of ['', '-wal', '-shm']) await rm(join(folder.path, `catalog.db${part}`), { force: true })

  {
    await using server = await TestServer.start(folder.path)
    expect(await server.files()).toEqual([])
    await server.register(drone)
  }
  await using server = await TestServer.start(folder.path)

  expect((await run('files', '--data', folder.path)).out.toString()).toBe(listed)
  expect(await server.cat('hexa-7', '/a')).toMatchObject({ status: 0, out: Buffer.from('kept') })
  expect((await server.verify()).out.toString()).toMatch(
    /^FORK .*\nchain of .*\nreceipt key .*\nrecords 2, .*: problems 1\n$/,
  )
})

// LB-095
test('a gap and a break in the chain are found', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await drone.data(label, 0, 'never sent')
  const second = await drone.data(label, 10, 'second')
  const third = await drone.altered(label, 'third', (manifest) => ({
    ...manifest,
    prev: second.manifest.prev,
  }))

  await server.send(drone, second, third)

  const { status, out } = await server.verify()
  expect(status).toBe(74)
  expect(out.toString()).toMatch(
    /^GAP hexa-7 1\/1 in \S+ - record 0 is not here\nCHAIN_BROKEN hexa-7 1\/2 in /,
  )
  expect(await server.files()).toMatchObject([{ whole: false, missing: [[5, 10]] }])
})

test('a closed file is whole only if its length and hash are the signed ones', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [other, longer, empty] = [labelOf('/other'), labelOf('/longer'), labelOf('/empty')]
  await server.send(drone, await drone.data(other, 0, 'this'), drone.close(other, 'that'))
  await server.send(
    drone,
    await drone.data(longer, 0, 'a'),
    drone.close(longer, 'abc'),
    drone.close(empty, ''),
  )

  expect(await server.files()).toMatchObject([
    { path: '/other', bytes: 4, whole: false, missing: [], closed: true },
    { path: '/longer', bytes: 1, whole: false, missing: [[1, 3]], closed: true },
    { path: '/empty', bytes: 0, whole: true, missing: [], closed: true },
  ])
  expect(await server.cat('hexa-7', '/other')).toMatchObject({ status: 75, out: Buffer.from('this') })
  expect(await server.cat('hexa-7', '/empty')).toMatchObject({ status: 0, out: Buffer.alloc(0) })
})

test('losses are named with their reason, also one whose length nobody knows', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const records = [await drone.data(label, 0, 'here'), drone.loss(label, 4, 6, 'truncated')]
  await server.send(drone, ...records, drone.loss(label, 10, null, 'deleted'))

  expect(await server.files()).toMatchObject([
    {
      whole: false,
      missing: [],
      lost: [
        { from: 4, to: 10, reason: 'truncated' },
        { from: 10, to: null, reason: 'deleted' },
      ],
    },
  ])
  const { status, err } = await server.cat('hexa-7', '/a')
  expect(status).toBe(75)
  expect(err).toBe('bytes 4 to 10 are lost: truncated\nbytes 10 to nobody knows where are lost: deleted\n')
})
