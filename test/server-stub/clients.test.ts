import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { runProgram } from '../../server-stub/cli/program.ts'
import { batchOf, Drone, labelOf, post, problemCode } from '../kit/drone.ts'
import { sealing } from '../kit/store-sealing.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { run, TestServer } from './test-server.ts'

const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`

async function open(url: string, text = ''): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(text, 'latin1')
  return socket
}

test('a stop waits for a batch whose client has left', async () => {
  await using folder = await tempFolder()
  const begun = Promise.withResolvers<void>()
  const going = Promise.withResolvers<void>()
  const change = sealing(async (draft, key) => {
    begun.resolve()
    await going.promise
    await draft.seal(key)
  })
  const server = await TestServer.start(folder.path, change)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const { bytes } = await drone.data(labelOf('/a'), 0, 'x')
  const socket = await open(server.url, `${head}content-length: ${bytes.length}\r\n\r\n`)
  socket.write(bytes)
  await begun.promise
  const closed = once(socket, 'close')
  socket.destroy()
  await closed

  const stopped = server[Symbol.asyncDispose]()
  await expect.poll(async () => fetch(server.url).then(String, () => 'refused')).toBe('refused')
  going.resolve()
  await stopped

  expect(server.facts.slice(-3)).toContain('committed')
  expect(server.facts.at(-1)).toBe('stopped')
  expect((await run('verify', '--data', folder.path)).status).toBe(0)
})

test('a record of a stranger does not keep out those of a registered drone that follow it', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const [drone, twin, stranger] = [new Drone('hexa-7'), new Drone('hexa-7'), new Drone('nobody')]
  await server.register(drone)
  const label = labelOf('/a')
  const strange = [await stranger.data(label, 0, 'x'), await twin.data(label, 0, 'x')]
  const good = await drone.data(label, 0, 'good')

  expect(problemCode(await post(server.url, batchOf(...strange)))).toBe('DEVICE_UNKNOWN')
  expect(server.facts).not.toContain('refused')
  expect(await server.send(drone, ...strange, good)).toEqual(['DEVICE_UNKNOWN', 'KEY_UNKNOWN', 'stored'])
})

test('strangers that hold requests open keep no drone out, and the first of too many is cut off', async () => {
  await using folder = await tempFolder()
  const few = { maxRequests: 2, maxStrangers: 3 }
  await using server = await TestServer.start(folder.path, undefined, few)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const first = await open(server.url, `${head}content-length: 1000\r\n\r\n\xda`)
  const closed = once(first.resume(), 'close')
  const others: Socket[] = []
  for (let count = 1; count < 3; count++) {
    others.push(await open(server.url, `${head}content-length: 1000\r\n\r\n\xda`))
  }

  expect(await server.send(drone, await drone.data(labelOf('/a'), 0, 'x'))).toEqual(['stored'])
  others.push(await open(server.url, `${head}content-length: 1000\r\n\r\n\xda`))
  await closed
  for (const socket of others) socket.destroy()
})

test('a server whose stdout is gone serves on, and says so', async () => {
  await using folder = await tempFolder()
  const stopping = new AbortController()
  let told = ''
  const ended = runProgram(['serve', '--data', folder.path, '--port', '0'], {
    env: {},
    print: async () => {
      throw Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
    },
    tell: (text) => (told += text),
    columns: () => 80,
    untilStopped: () => stopping.signal,
  })

  await expect.poll(() => told).toContain('cannot print where it listens: write EPIPE')
  stopping.abort()
  expect(await ended).toBe(0)
})

test('what a client gets wrong about HTTP is a problem, and 405 says what is allowed', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const wrong = [
    'GET /%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n',
    'GET /healthz HTTP/1.1\r\nhost: x\r\nexpect: nonsense\r\nconnection: close\r\n\r\n',
  ]
  for (const request of wrong) {
    const socket = await open(server.url, request)
    const heard = await Array.fromAsync(socket.setEncoding('latin1') as AsyncIterable<string>)
    expect(heard.join('')).toMatch(/^HTTP\/1\.1 400 [^]*problem\+json[^]*REQUEST_MALFORMED/)
  }
  const answer = await fetch(`${server.url}${paths.chunks}?x`)
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
  const ready = await fetch(`${server.url}${paths.ready}`, { method: 'DELETE' })
  expect([ready.status, ready.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
})

test('an error of the catalog that nobody foresaw is never an error of the server', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const database = new DatabaseSync(join(folder.path, 'catalog.db'))
  database.exec(`CREATE TRIGGER broken BEFORE INSERT ON records BEGIN SELECT raise(ABORT, 'no'); END`)
  database.close()

  expect((await post(server.url, batchOf(await drone.data(labelOf('/a'), 0, 'x')))).status).toBe(507)
  expect(server.facts).not.toContain('broken')
})
