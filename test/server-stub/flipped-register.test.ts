import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { expect, test } from 'vitest'
import { Fault } from '../../protocol/fault.ts'
import { SqliteCatalog } from '../../server-stub/catalog/sqlite-catalog.ts'
import { realClock } from '../../server-stub/parts.ts'
import { Drone, labelOf } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer, type Ran } from './test-server.ts'

const active = new Drone('hexa-7')
const revoked = new Drone('stolen')

async function storeWithRevoked(data: string): Promise<Buffer> {
  {
    await using server = await TestServer.start(data)
    await server.register(active)
    await server.register(revoked)
    await server.send(active, await active.data(labelOf('/a'), 0, 'x'))
    await run('device', 'revoke', revoked.device, '--data', data)
  }
  return readFile(join(data, 'catalog.db'))
}

/** The pages of the catalog that hold its schema and its register: where the header ends, and what was written last. */
function bytesThatSpeakOfDevices(catalog: Buffer): number[] {
  const pageBytes = catalog.readUInt16BE(16)
  const userVersion = [60, 61, 62, 63]
  const pages = [0, Math.floor(catalog.indexOf(revoked.device) / pageBytes)]
  const inPages = pages.flatMap((page) => Array.from({ length: pageBytes }, (_, at) => page * pageBytes + at))
  return [...userVersion, ...inPages.filter((at) => at >= 100 && catalog[at] !== 0)]
}

/** What the commands say with the catalog changed to this; undefined where none of them would open it. */
async function told(data: string, catalog: Buffer): Promise<readonly [Ran, Ran, Ran] | undefined> {
  const file = join(data, 'catalog.db')
  await writeFile(file, catalog)
  for (const leftover of ['-wal', '-shm']) await rm(`${file}${leftover}`, { force: true })
  if (isRefused(file)) return undefined
  return [
    await run('verify', '--data', data),
    await run('device', 'list', '--data', data),
    await run('files', '--data', data),
  ]
}

function isRefused(file: string): boolean {
  try {
    void SqliteCatalog.open(file, realClock)[Symbol.asyncDispose]()
    return false
  } catch (error) {
    if (error instanceof Fault && error.code === 'CATALOG_DAMAGED') return true
    throw error
  }
}

test('one flipped bit in what the catalog says of devices changes nothing that is told, or is named', async () => {
  await using folder = await tempFolder()
  const whole = await storeWithRevoked(folder.path)
  const before = await told(folder.path, whole)
  expect(before?.map(({ status }) => status)).toEqual([0, 0, 0])

  for (const at of bytesThatSpeakOfDevices(whole)) {
    const flipped = whole.with(at, (whole[at] ?? 0) ^ (1 << (at % 8)))
    const after = await told(folder.path, Buffer.from(flipped))
    if (!after) continue
    const isNamed = after[0].status === 74
    const silent = after.filter((ran, index) => ran.status !== 74 && !isDeepStrictEqual(ran, before?.[index]))
    expect(isNamed ? [] : silent, `byte ${at}`).toEqual([])
    expect(after[1].out.toString(), `byte ${at}`).not.toContain('stolen\tactive')
  }
}, 60_000)

test('a device whose row is damaged is refused, and verify and device list name it', async () => {
  await using folder = await tempFolder()
  const whole = await storeWithRevoked(folder.path)
  const damaged = Buffer.from(whole)
  // The name, then the key, then two times of six bytes: the lowest of the second.
  const revokedMs = whole.lastIndexOf(Buffer.from(revoked.device)) + revoked.device.length + 32 + 6 + 5
  damaged[revokedMs] = (damaged[revokedMs] ?? 0) ^ 1
  const after = await told(folder.path, damaged)

  expect(after?.map(({ status }) => status)).toEqual([74, 74, 74])
  expect(after?.[0]?.err).toMatch(/row of device stolen is damaged/)
  expect(after?.[1]?.err).toMatch(/row of device stolen is damaged/)
})
