import { spawnSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Catalog, Commit, SettingName } from '../../server-stub/catalog/catalog.ts'
import { serverFault } from '../../server-stub/faults.ts'
import { openStore, type Parts } from '../../server-stub/parts.ts'
import { batchOf, Drone, labelOf, post, problemCode } from '../kit/drone.ts'
import { overridable } from '../kit/overridable.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { MemoryStore } from './memory-store.ts'
import { endedWithTest, TestServer } from './test-server.ts'

test('a full store answers 507 without a receipt, and takes records again when there is room', async () => {
  await using folder = await tempFolder()
  const store = new MemoryStore()
  await using server = await TestServer.start(folder.path, () => ({ store }))
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const records = [await drone.data(label, 0, 'first'), await drone.data(label, 5, 'second')]

  store.room = records[0]?.bytes.length ?? 0
  const full = await post(server.url, batchOf(...records))
  expect([full.status, problemCode(full)]).toEqual([507, 'STORE_FULL'])
  expect(await Array.fromAsync(store.list('records'))).toEqual([])

  store.room = Infinity
  expect(await server.send(drone, ...records)).toEqual(['stored', 'stored'])
})

test('a catalog that is full after the blob was stored loses nothing and stores nothing twice', async () => {
  await using folder = await tempFolder()
  let isFull = true
  const change = ({ catalog }: { catalog: Catalog }): { catalog: Catalog } => ({
    catalog: Object.assign(overridable(catalog), {
      commit: async (batch: Commit) => {
        if (isFull) throw serverFault('STORE_FULL', 'the catalog fails: database or disk is full')
        return catalog.commit(batch)
      },
    }),
  })
  const drone = new Drone('hexa-7')
  const label = labelOf('/a')
  const [first, second] = [await drone.data(label, 0, 'first'), await drone.data(label, 5, 'second')]
  {
    await using server = await TestServer.start(folder.path, change)
    await server.register(drone)
    expect((await post(server.url, batchOf(first))).status).toBe(507)
    expect((await post(server.url, batchOf(first))).status).toBe(507)
    isFull = false
    expect(await server.send(drone, first, second)).toEqual(['duplicate', 'stored'])
    isFull = true
    expect((await post(server.url, batchOf(await drone.data(label, 11, 'third')))).status).toBe(507)
  }
  await using server = await TestServer.start(folder.path)
  expect((await server.cat('hexa-7', '/a')).out.toString()).toBe('firstsecondthird')
  expect((await server.verify()).out.toString()).toMatch(/^records 3, .*all signatures/m)
})

const fullWhenStopped = ({ catalog }: Parts): Partial<Parts> => ({
  catalog: Object.assign(overridable(catalog), {
    keepSetting: async (name: SettingName, value: string) => {
      if (value === 'yes') throw serverFault('STORE_FULL', 'the catalog fails: database or disk is full')
      return catalog.keepSetting(name, value)
    },
  }),
})

test('a server stops well on a full disk, and the next start looks at all that is here', async () => {
  await using folder = await tempFolder()
  const server = await TestServer.start(folder.path, fullWhenStopped)

  await expect(server[Symbol.asyncDispose]()).resolves.toBeUndefined()
  expect(server.facts.slice(-2)).toEqual(['failed', 'stopped'])
  await using again = await openStore(folder.path)
  expect(await again.catalog.setting('agrees')).toBe('no')
})

const mayMount =
  spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', '/mnt']).status === 0
if (!mayMount) console.warn('skipped the test with a real full disk: mounting a tmpfs is not permitted here')

test.skipIf(!mayMount)(
  'a disk that is really full gives 507, and the server recovers when there is room',
  async () => {
    await using folder = await tempFolder()
    const main = fileURLToPath(new URL('../../server-stub/main.ts', import.meta.url))
    const script = `mount -t tmpfs -o size=2m none "$1" && exec "$2" "$3" serve --data "$1/data" --port 0`
    const args = ['-rm', 'sh', '-c', script, 'sh', folder.path, process.execPath, main]
    const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    await using _child = endedWithTest(child)
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { listening } = JSON.parse(line.toString()) as { listening: string }
    // The mount is in the server's own namespace; this is how it is seen from here.
    const disk = `/proc/${child.pid}/root${folder.path}`
    const drone = new Drone('hexa-7')
    // SQLite resolves the link that `disk` goes through, so commands run where the server runs.
    const inside = ['--preserve-credentials', '-U', '-m', '-t', `${child.pid}`, process.execPath, main]
    const runInside = (...args: string[]): { readonly status: number | null; readonly stderr: Buffer } =>
      spawnSync('nsenter', [...inside, ...args, '--data', join(folder.path, 'data')])
    expect(runInside('device', 'add', drone.device, '--key', drone.publicKey).status).toBe(0)
    const label = labelOf('/a')

    let answer = await post(listening, batchOf(await drone.data(label, 0, Buffer.alloc(1000, 'x'))))
    expect(answer.status).toBe(200)
    expect(spawnSync('dd', ['if=/dev/zero', `of=${join(disk, 'ballast')}`, 'bs=4k']).status).not.toBe(0)
    const last = await drone.data(
      label,
      1000,
      Buffer.from(Array.from({ length: 50_000 }, (_, at) => (at * at) >> 3)),
    )
    answer = await post(listening, batchOf(last))
    expect([answer.status, problemCode(answer)]).toEqual([507, 'STORE_FULL'])
    expect((await fetch(`${listening}/readyz`)).status).toBe(503)
    expect((await fetch(`${listening}/healthz`)).status).toBe(200)
    expect(await readdir(join(disk, 'data', 'drafts'))).toEqual([])

    await rm(join(disk, 'ballast'))
    expect((await post(listening, batchOf(last))).status).toBe(200)
    await expect.poll(async () => (await fetch(`${listening}/readyz`)).status).toBe(200)
    const verify = runInside('verify')
    expect([verify.status, verify.stderr.toString()]).toEqual([0, ''])
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await exit).toEqual([0, null])
  },
)
