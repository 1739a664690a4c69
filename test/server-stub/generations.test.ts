import { expect, test } from 'vitest'
import { openParts } from '../../server-stub/parts.ts'
import { Drone, labelOf } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer } from './test-server.ts'

test('of two files that were at one path cat gives the newer, and names the older, which it gives by its id', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const [older, newer] = [labelOf('/log'), labelOf('/log')]
  const first = await drone.data(older, 0, 'older')
  // The newer one arrives before the older one is whole: what counts is the chain.
  await server.send(drone, first, await drone.data(newer, 0, 'newer'), await drone.data(older, 5, ' and on'))

  const byPath = await server.cat('hexa-7', '/log')
  expect([byPath.status, byPath.out.toString()]).toEqual([0, 'newer'])
  expect(byPath.err).toContain(`an earlier file was at /log too: name ${older.stream} to see it`)
  const byId = await server.cat('hexa-7', older.stream)
  expect([byId.status, byId.out.toString(), byId.err]).toEqual([0, 'older and on', ''])
})

test('a later record wins over an earlier one at the same place, whichever arrived first', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/log')
  const [first, rewrite, inside] = [
    await drone.data(label, 0, 'one two three'),
    await drone.data(label, 0, 'ONE TWO THREE'),
    await drone.data(label, 4, 'two'),
  ]
  for (const record of [inside, rewrite, first, drone.close(label, 'ONE two THREE')])
    await server.send(drone, record)

  const { status, out } = await server.cat('hexa-7', '/log')
  expect([status, out.toString()]).toEqual([0, 'ONE two THREE'])
  expect(await server.files()).toMatchObject([{ whole: true, bytes: 13 }])
  expect((await server.verify()).status).toBe(0)
})

test('a second server on one folder is refused and told who holds it, and admin commands work on', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  await expect(openParts(folder.path, () => undefined)).rejects.toMatchObject({
    code: 'SERVER_RUNNING',
    message: expect.stringContaining(`process ${process.pid}`) as unknown,
  })
  const second = await run('serve', '--data', folder.path, '--port', '0')
  expect([second.status, second.err]).toEqual([75, expect.stringContaining(`process ${process.pid}`)])
  expect((await run('files', '--data', folder.path)).status).toBe(0)
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
})
