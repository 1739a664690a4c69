import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Drone, labelOf, post, problemCode } from '../kit/drone.ts'
import { sealing } from '../kit/store-sealing.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

const gone = [
  {
    what: 'its catalog is removed',
    take: async (data: string): Promise<void> => {
      for (const part of ['', '-wal', '-shm']) await rm(join(data, `catalog.db${part}`))
    },
  },
  {
    what: 'its catalog is replaced by another file',
    take: async (data: string): Promise<void> => {
      await writeFile(join(data, 'other'), '')
      await rename(join(data, 'other'), join(data, 'catalog.db'))
    },
  },
  {
    what: 'the whole folder is removed',
    take: (data: string): Promise<void> => rm(data, { recursive: true }),
  },
]

test.each(gone)(
  'a server signs nothing any more once $what, and says that it is not ready',
  async ({ take }) => {
    await using folder = await tempFolder()
    const data = join(folder.path, 'data')
    await using server = await TestServer.start(data, () => ({}), { readyMs: 0 })
    const drone = new Drone('hexa-7')
    await server.register(drone)
    const [known, next] = [
      await drone.data(labelOf('/a'), 0, 'known'),
      await drone.data(labelOf('/a'), 5, 'next'),
    ]
    expect(await server.send(drone, known)).toEqual(['stored'])
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)

    await take(data)

    for (const record of [known, next]) {
      const answer = await post(server.url, record.bytes)
      expect([answer.status, problemCode(answer)]).toEqual([507, 'STORE_UNWRITABLE'])
    }
    expect((await fetch(`${server.url}/readyz`)).status).toBe(503)
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  },
)

test('a folder that was away comes back with the server that has it open', async () => {
  await using folder = await tempFolder()
  const data = join(folder.path, 'data')
  await using server = await TestServer.start(data)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'x')
  await rename(data, join(folder.path, 'away'))
  expect((await post(server.url, record.bytes)).status).toBe(507)
  await rename(join(folder.path, 'away'), data)

  expect(await server.send(drone, record)).toEqual(['stored'])
})

test('what is removed while a request is worked on makes no receipt for it', async () => {
  await using folder = await tempFolder()
  const data = join(folder.path, 'data')
  const removing = sealing(async (draft, key) => {
    await draft.seal(key)
    await rm(join(data, 'catalog.db'))
  })
  await using server = await TestServer.start(data, removing)
  const drone = new Drone('hexa-7')
  await server.register(drone)

  const answer = await post(server.url, (await drone.data(labelOf('/a'), 0, 'x')).bytes)
  expect([answer.status, problemCode(answer)]).toEqual([507, 'STORE_UNWRITABLE'])
})
