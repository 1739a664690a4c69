import { open, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test, vi } from 'vitest'
import { SqliteCatalog } from '../../server-stub/catalog/sqlite-catalog.ts'
import { realClock } from '../../server-stub/parts.ts'
import { Drone, labelOf, post, problemCode } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { watchSyncs } from '../kit/watched-syncs.ts'
import { run, TestServer } from './test-server.ts'

test('the kernel has synced the records, then their names, before the catalog and the receipt speak of them', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const order = server.facts as string[]
  using _watch = await watchSyncs(async (path, sync) => {
    await sync()
    order.push(`synced ${relative(folder.path, path)}`)
  })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const sent = async (content: string, offset: number): Promise<string[]> => {
    order.length = 0
    await server.send(drone, await drone.data(labelOf('/a'), offset, content))
    return order.slice(0, order.indexOf('committed') + 1)
  }

  const first = await sent('first', 0)
  for (const name of ['', 'records', 'records/hexa-7', 'records/hexa-7/1'])
    expect(first.slice(0, first.indexOf('stored'))).toContain(`synced ${name}`)
  expect(await sent('second', 5)).toEqual([
    'synced drafts/2.part',
    'synced records/hexa-7/1/000000000',
    'stored',
    'committed',
  ])
})

test('a commit is on the disk before it returns: the catalog is in WAL mode and syncs in full', async () => {
  await using folder = await tempFolder()
  const exec = vi.spyOn(DatabaseSync.prototype, 'exec')
  await using _catalog = SqliteCatalog.open(join(folder.path, 'catalog.db'), realClock)
  const [connection] = exec.mock.contexts as DatabaseSync[]
  exec.mockRestore()

  // sqlite.org/pragma.html#pragma_synchronous: 2 is FULL.
  expect(connection?.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 })
  expect(connection?.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
})

test('verify names damage of the catalog that no row shows', async () => {
  await using folder = await tempFolder()
  await TestServer.start(folder.path).then((server) => server[Symbol.asyncDispose]())
  const file = join(folder.path, 'catalog.db')
  const catalog = await readFile(file)
  // sqlite.org/fileformat2.html: the number of pages. One that is in no tree and in no list is lost.
  catalog.writeUInt32BE(catalog.readUInt32BE(28) + 1, 28)
  await writeFile(file, Buffer.concat([catalog, Buffer.alloc(catalog.readUInt16BE(16))]))

  const { status, out } = await run('verify', '--data', folder.path)
  expect(status).toBe(74)
  expect(out.toString()).toMatch(/^CATALOG_DAMAGED - .*Page \d+.* never used/m)
})

test.each(['EROFS', 'EACCES', 'EIO', 'ENOSPC'])(
  'a disk that answers a sync with %s gives 507 without a receipt, until it takes records again',
  async (code) => {
    await using folder = await tempFolder()
    await using server = await TestServer.start(folder.path, () => ({}), { readyMs: 0 })
    const drone = new Drone('hexa-7')
    await server.register(drone)
    const record = await drone.data(labelOf('/a'), 0, 'x')
    {
      using _failing = await watchSyncs(async () => {
        throw Object.assign(new Error(`${code}: fsync`), { code })
      })
      const answer = await post(server.url, record.bytes)
      const problem = code === 'ENOSPC' ? 'STORE_FULL' : 'STORE_UNWRITABLE'
      expect([answer.status, problemCode(answer)]).toEqual([507, problem])
      expect((await fetch(`${server.url}/readyz`)).status).toBe(503)
    }
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
    expect(await server.send(drone, record)).toEqual(['stored'])
  },
)

test.each(['EROFS', 'EACCES', 'EIO'])('a disk that answers a write with %s gives 507', async (code) => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'x')
  await using any = await open(folder.path, 'r')
  {
    using _write = vi
      .spyOn(Object.getPrototypeOf(any) as typeof any, 'write')
      .mockRejectedValue(Object.assign(new Error(`${code}: write`), { code }))
    const answer = await post(server.url, record.bytes)
    expect([answer.status, problemCode(answer)]).toEqual([507, 'STORE_UNWRITABLE'])
  }
  expect(await server.send(drone, record)).toEqual(['stored'])
})

test('files says in a line how many forks a file has', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  await server.send(drone, await drone.data(label, 0, 'kept'))
  await server.send(drone, await drone.fork(label, 0, 'fork'))

  expect((await run('files', '--data', folder.path)).out.toString()).toContain('\t4\twhole, 1 forks\t/a\t')
})
