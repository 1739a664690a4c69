import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { batchOf, Drone, labelOf, post, problemCode, type Sealed } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

test('while as many requests run as may, the next is told when to come back', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { maxRequests: 1 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const record = await drone.data(labelOf('/a'), 0, 'x')
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  const slow = connect(Number(new URL(server.url).port), '127.0.0.1')
  slow.on('error', () => undefined).write(`${head}content-length: 1000\r\n\r\n`)
  slow.write(record.bytes)

  await expect.poll(async () => (await post(server.url, batchOf(record))).status).toBe(503)
  const busy = await post(server.url, batchOf(record))
  expect(problemCode(busy)).toBe('SERVER_BUSY')
  expect(Number(busy.headers.get('retry-after'))).toBeGreaterThan(0)
  slow.destroy()
  await expect.poll(async () => (await post(server.url, batchOf(record))).status).toBe(200)
})

test('a device with as many requests as it may have is told when to come back, and others are served', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { maxPerDevice: 1 })
  const [drone, other] = [new Drone('hexa-7'), new Drone('hexa-8')]
  await server.register(drone)
  await server.register(other)
  const record = await drone.data(labelOf('/a'), 0, 'x')
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  const slow = connect(Number(new URL(server.url).port), '127.0.0.1')
  slow.on('error', () => undefined).write(`${head}content-length: 1000\r\n\r\n`)
  slow.write(record.bytes)

  const next = await drone.data(labelOf('/b'), 0, 'y')
  await expect.poll(async () => (await post(server.url, batchOf(next))).status).toBe(429)
  const busy = await post(server.url, batchOf(next))
  expect(problemCode(busy)).toBe('DEVICE_BUSY')
  expect(Number(busy.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await server.send(other, await other.data(labelOf('/a'), 0, 'x'))).toEqual(['stored'])
  slow.destroy()
  await expect.poll(async () => (await post(server.url, batchOf(next))).status).toBe(200)
})

test('a large record proves its sender by its head, so that strangers cannot crowd it out', async () => {
  await using folder = await tempFolder()
  const limits = { maxStrangers: 2, maxStrangerBytes: 200_000 }
  await using server = await TestServer.start(folder.path, undefined, limits)
  const [drone, stranger] = [new Drone('hexa-7'), new Drone('nobody')]
  await server.register(drone)
  const noise = randomBytes(2 ** 20)
  const [own, foreign] = [
    await drone.data(labelOf('/a'), 0, noise),
    await stranger.data(labelOf('/a'), 0, noise),
  ]
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  const begin = ({ bytes }: Sealed) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1').setEncoding('latin1')
    socket.on('error', () => undefined)
    socket.write(`${head}content-length: ${bytes.length}\r\n\r\n`)
    socket.write(bytes.subarray(0, 600_000))
    return {
      socket,
      end: new Promise<string>((resolve) => socket.once('data', resolve).once('close', () => resolve('cut'))),
    }
  }

  const proven = begin(own)
  const crowd = [begin(foreign), begin(foreign), begin(foreign)]
  expect(await Promise.all(crowd.map(({ end }) => end))).toEqual(['cut', 'cut', 'cut'])
  proven.socket.write(own.bytes.subarray(600_000))
  expect(await proven.end).toMatch(/^HTTP\/1.1 200/)
  proven.socket.destroy()
})

test('who sends what he overheard takes no slots from the device that signed it', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path, undefined, { maxPerDevice: 2, maxRequests: 3 })
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/a')
  const stored = [await drone.data(label, 0, randomBytes(9000)), await drone.data(label, 9000, 'x')]
  await server.send(drone, ...stored)
  const onItsWay = await drone.data(label, 9001, randomBytes(9000))
  const whole = batchOf(...stored)
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  const part = onItsWay.bytes.subarray(0, 1000)
  const overheard = [whole, whole.subarray(0, 1000), whole.subarray(0, 1000), part, part]
  using sockets = new DisposableStack()
  for (const bytes of overheard) {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => undefined)
    sockets.defer(() => void socket.destroy())
    socket.write(`${head}content-length: 1000000\r\n\r\n`)
    await new Promise((resolve) => socket.write(bytes, resolve))
  }
  // A whole exchange later the server has seen them.
  await fetch(`${server.url}${paths.health}`)

  expect(await server.send(drone, await drone.data(label, 18_001, 'mine'))).toEqual(['stored'])
  expect(await server.send(drone, ...stored)).toEqual(['duplicate', 'duplicate'])
})
