import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { batchOf, Drone, labelOf, post } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer } from './test-server.ts'

const damaged = new Drone('hexa-7')
const sound = new Drone('hexa-8')

function change(data: string, sql: string): void {
  using database = new DatabaseSync(join(data, 'catalog.db'))
  database.exec(sql)
}

async function serverWithBoth(data: string): Promise<TestServer> {
  const server = await TestServer.start(data)
  await server.register(damaged)
  await server.register(sound)
  change(data, `UPDATE register SET addedMs = addedMs + 1 WHERE device = '${damaged.device}'`)
  return server
}

test('a damaged row refuses its device, and the others are served', async () => {
  await using folder = await tempFolder()
  await using server = await serverWithBoth(folder.path)

  expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('logbox_devices{state="active"} 1')
  expect((await post(server.url, batchOf(await damaged.data(labelOf('/a'), 0, 'x')))).status).toBe(507)
  expect(await server.send(sound, await sound.data(labelOf('/a'), 0, 'x'))).toEqual(['stored'])
})

test('with a damaged row the others can be revoked, and a list says what is damaged', async () => {
  await using folder = await tempFolder()
  await using server = await serverWithBoth(folder.path)

  expect((await run('device', 'revoke', sound.device, '--data', server.data)).status).toBe(0)
  expect((await post(server.url, batchOf(await sound.data(labelOf('/b'), 0, 'x')))).status).toBe(403)
  for (const command of [['device', 'revoke', damaged.device], ['device', 'list'], ['verify']])
    expect(await run(...command, '--data', server.data)).toMatchObject({
      status: 74,
      err: expect.stringContaining('row of device hexa-7 is damaged'),
    })
})

test('a start that looks for unknown blobs is not kept from the others by a damaged row', async () => {
  await using folder = await tempFolder()
  await (await serverWithBoth(folder.path))[Symbol.asyncDispose]()
  change(folder.path, "UPDATE settings SET value = 'no' WHERE name = 'agrees'")

  await using server = await TestServer.start(folder.path)
  expect(await server.send(sound, await sound.data(labelOf('/c'), 0, 'x'))).toEqual(['stored'])
})
