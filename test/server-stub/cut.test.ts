import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { batchOf, Drone, labelOf } from '../kit/drone.ts'
import { tempFolder } from '../kit/temp-folder.ts'
import { TestServer } from './test-server.ts'

const content = 'a line of a log, over and over\n'.repeat(8)

function open(url: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => resolve(socket))
    socket.on('error', () => undefined)
  })
}

/** Sends the head of a request and the first `length` bytes of its body, and cuts the connection. */
async function sendCut(url: string, batch: Uint8Array, length: number): Promise<void> {
  const socket = await open(url)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  socket.write(`${head}content-length: ${batch.length}\r\n\r\n`)
  socket.write(batch.subarray(0, length), () => socket.destroySoon())
  socket.resume()
  await closed
}

// LB-097
test('wherever an upload is cut, the whole records before the cut are kept, and none is stored twice', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const cuts = Array.from({ length: 40 }, (_, at) => at / 40)

  for (const [index, part] of cuts.entries()) {
    const drone = new Drone(`drone-${index}`)
    await server.register(drone)
    const label = labelOf('/log')
    const records = []
    for (let at = 0; at < 4; at++) records.push(await drone.data(label, at * content.length, content))
    const batch = batchOf(...records)
    const length = Math.floor(batch.length * part)
    let end = 0
    const whole = records.filter(({ bytes }) => (end += bytes.length) <= length).length

    const commits = server.facts.filter((fact) => fact === 'committed').length
    await sendCut(server.url, batch, length)
    await expect
      .poll(() => server.facts.filter((fact) => fact === 'committed').length, { interval: 3 })
      .toBe(commits + (whole > 0 ? 1 : 0))
    const outcomes = await server.send(drone, batch)
    expect(outcomes.slice(0, whole), `cut at ${length}`).toEqual(Array(whole).fill('duplicate'))
    expect(outcomes.slice(whole), `cut at ${length}`).toEqual(Array(4 - whole).fill('stored'))
    expect((await server.cat(drone.device, '/log')).out.toString()).toBe(content.repeat(4))
  }
  expect((await server.verify()).out.toString()).toContain(`records ${4 * cuts.length},`)
  expect((await server.verify()).status).toBe(0)
})

test('a connection that hangs in mid-body does not keep its drone from sending over a new one', async () => {
  await using folder = await tempFolder()
  await using server = await TestServer.start(folder.path)
  const drone = new Drone('hexa-7')
  await server.register(drone)
  const label = labelOf('/log')
  const [first, second] = [await drone.data(label, 0, 'one '), await drone.data(label, 4, 'two')]
  const hanging = await open(server.url)
  const head = `POST ${paths.chunks} HTTP/1.1\r\nhost: x\r\ncontent-type: ${mediaTypes.batch}\r\n`
  hanging.write(`${head}content-length: 100000\r\n\r\n`)
  hanging.write(first.bytes)

  expect(await server.send(drone, first, second)).toEqual(['stored', 'stored'])
  hanging.destroy()

  expect((await server.cat('hexa-7', '/log')).out.toString()).toBe('one two')
  expect((await server.verify()).out.toString()).toMatch(/^records 2, .*all signatures/m)
})
