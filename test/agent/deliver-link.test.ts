import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { httpLink } from '../../agent/deliver/http-link.ts'
import { hangUpOn } from '../../agent/deliver/hang-up.ts'
import { findSendQueue } from '../../agent/deliver/kernel-queue.ts'
import type { LinkRequest } from '../../agent/deliver/link.ts'
import { StallWatch } from '../../agent/deliver/stall-watch.ts'
import { realWorld } from '../../agent/world.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { openLossyLink } from '../kit/lossy-link.ts'
import { never } from '../kit/queue-kit.ts'

const world = realWorld()

async function serve(listener: RequestListener): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await once(server.close(), 'close')
  }
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close }
}

const answering: RequestListener = (request, response) => {
  request.resume()
  request.on('end', () => response.end('got it'))
}

function post(bytes: number): LinkRequest {
  return {
    method: 'POST',
    path: '/v1/chunks',
    mediaType: 'application/cbor-seq',
    accept: 'application/cose',
    body: Buffer.alloc(bytes, 7),
    maxAnswerBytes: 1000,
  }
}

async function trickle(response: ServerResponse, text: string, everyMs: number): Promise<void> {
  for (const letter of text) {
    await world.clock.sleep(everyMs, never)
    if (response.destroyed) return
    response.write(letter)
  }
  response.end()
}

const linkTo = (port: number, stallMs: number) =>
  httpLink({ server: new URL(`http://127.0.0.1:${port}`), stallMs }, world)

describe('a request', () => {
  test('that still moves is not cut, even where Node has long handed all of it to the kernel', async () => {
    await using server = await serve(answering)
    await using relay = await openLossyLink({ port: server.port, bytesPerSecond: 750_000 })
    await using link = await linkTo(relay.port, 1500)
    const beganMs = performance.now()
    const answer = await link.send({ ...post(3_000_000), onItsWayMs: 3000 }, never)
    expect(answer).toMatchObject({ is: 'answered', status: 200 })
    expect(performance.now() - beganMs).toBeGreaterThan(3500)
  })

  test('that arrived is given as long again as it took before its answer is overdue', async () => {
    const clock = new FakeClock()
    const watch = new StallWatch(1000, clock, world.files)
    watch.moved()
    clock.advance(5000)
    watch.whole(0)
    const stalled = watch.stalled(never)
    for (let passed = 0; passed < 5750; passed += 250) await clock.skip()
    let isOver = false
    void stalled.then(() => (isOver = true))
    await clock.someoneSleeps()
    expect(isOver).toBe(false)
    await clock.skip()
    expect(await stalled).toBe(true)
  })

  test('on which nothing moves is cut after that time, with what had left', async () => {
    await using server = await serve(answering)
    await using relay = await openLossyLink({ port: server.port })
    relay.blackHole()
    await using link = await linkTo(relay.port, 2000)
    const answer = await link.send(post(1000), never)
    expect(answer).toEqual({ is: 'cut', code: 'STALLED', why: 'nothing moved for too long', sentBytes: 1000 })
  })

  test('whose server takes it and never answers is cut', async () => {
    await using server = await serve((request) => void request.resume())
    await using link = await linkTo(server.port, 2000)
    expect(await link.send(post(1000), never)).toMatchObject({ is: 'cut', code: 'STALLED', sentBytes: 1000 })
  })

  test('whose answer comes slowly is not cut', async () => {
    await using server = await serve((request, response) => {
      request.resume()
      void trickle(response, 'slowly', 100)
    })
    await using link = await linkTo(server.port, 60_000)
    const answer = await link.send(post(1000), never)
    expect(answer.is === 'answered' && Buffer.from(answer.body).toString()).toBe('slowly')
  })

  test('whose answer trickles for ever is cut, although something moves all the time', async () => {
    await using server = await serve((request, response) => {
      request.resume()
      void trickle(response, 'x'.repeat(900), 50)
    })
    await using link = await linkTo(server.port, 300)
    expect(await link.send(post(1000), never)).toMatchObject({ is: 'cut', code: 'STALLED' })
  })

  test.each([
    [0, 1000],
    [1024, 2000],
    [4096, 5000],
  ])(
    'with %i bytes of its answer there, and no more than them, is overdue after %i ms',
    async (bytes, ms) => {
      const clock = new FakeClock()
      const watch = new StallWatch(1000, clock, world.files)
      watch.answered(0)
      const beganMs = clock.monotonicMs()
      const stalled = watch.stalled(never).then(() => 'stalled')
      while ((await Promise.race([stalled, clock.someoneSleeps()])) !== 'stalled') {
        watch.answered(bytes)
        clock.advance(250)
      }
      expect(clock.monotonicMs() - beganMs).toBe(ms)
    },
  )

  test('that nobody lets go is not late, and says that nothing left', async () => {
    await using server = await serve(answering)
    await using link = await linkTo(server.port, 100)
    const abandoning = new AbortController()
    const sluice = {
      take: async (_: number, signal: AbortSignal) => {
        await world.clock.sleep(500, signal)
        abandoning.abort()
        return 0
      },
      left: () => undefined,
    }
    const answer = await link.send({ ...post(1000), sluice }, abandoning.signal)
    expect(answer).toMatchObject({ is: 'cut', code: 'ABANDONED', sentBytes: 0 })
  })

  test('to nobody is a cut of which nothing left', async () => {
    await using link = await linkTo(1, 60_000)
    expect(await link.send(post(1000), never)).toMatchObject({
      is: 'cut',
      code: 'ECONNREFUSED',
      sentBytes: 0,
    })
  })

  test('uses the connection of the one before', async () => {
    await using server = await serve(answering)
    await using relay = await openLossyLink({ port: server.port })
    await using link = await linkTo(relay.port, 60_000)
    for (let times = 0; times < 3; times++) await link.send(post(1000), never)
    expect(relay.connections).toBe(1)
  })
})

test('a connection that is hung up on is not used again', async () => {
  await using server = await serve(answering)
  await using relay = await openLossyLink({ port: server.port })
  await using link = await linkTo(relay.port, 60_000)
  for (let times = 0; times < 3; times++) {
    const answer = await link.send(post(1000), never)
    if (answer.is === 'answered') answer.hangUp?.()
  }
  expect(relay.connections).toBe(3)
})

test.each([
  ['a web page', 'text/html', 'portal', true],
  ['a stranger who does not know this drone', 'application/problem+json', 'person', true],
  ['a proxy whose server is away', 'text/html', 'retry', true],
  ['a server that is busy', 'application/problem+json', 'retry', false],
  ['a server for which it is too much at once', 'application/problem+json', 'smaller', false],
] as const)('the connection to %s is kept or not', (_, mediaType, course, isEnded) => {
  let isHungUp = false
  const hangUp = (): boolean => (isHungUp = true)
  const about = { body: new Uint8Array(0), retryAfterMs: undefined }
  hangUpOn({ is: 'answered', status: 400, mediaType, ...about, hangUp }, course)
  expect(isHungUp).toBe(isEnded)
})

test('through 30 stalls, each within the deadline, no request is abandoned and nothing is sent twice', async () => {
  let arrivedBytes = 0
  await using server = await serve((request, response) => {
    request.on('data', ({ length }: Buffer) => (arrivedBytes += length))
    request.on('end', () => response.end('got it'))
  })
  await using relay = await openLossyLink({ port: server.port, stallMs: 100, stallEveryMs: 20, seed: 30 })
  await using link = await linkTo(relay.port, 5000)
  let sentBytes = 0
  while (relay.stalls < 30) {
    expect(await link.send(post(300_000), never)).toMatchObject({ is: 'answered', status: 200 })
    sentBytes += 300_000
  }
  expect(arrivedBytes).toBe(sentBytes)
})

test('a request of which a byte moves within every deadline is sent to its end', async () => {
  const sockets: Socket[] = []
  const server = createTcpServer({ pauseOnConnect: true }, (socket) => {
    // Whoever gives a request up resets its connection.
    socket.on('error', () => undefined)
    sockets.push(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  await using link = await linkTo((server.address() as AddressInfo).port, 1000)
  const stopping = new AbortController()
  const reading = (async () => {
    while (!stopping.signal.aborted) {
      await world.clock.sleep(60, stopping.signal)
      for (const socket of sockets) socket.read(100_000)
    }
  })()
  const sending = link.send(post(4_000_000), stopping.signal)
  // For several deadlines.
  await world.clock.sleep(4000, never)
  const [socket] = sockets
  expect(socket?.bytesRead).toBeGreaterThan(0)
  expect(socket?.destroyed).toBe(false)
  stopping.abort()
  await reading
  expect(await sending).toMatchObject({ code: 'ABANDONED' })
  socket?.destroy()
  await once(server.close(), 'close')
})

test('the kernel tells what it still holds of a connection', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0',
    '   1: 0100007F:D431 0100007F:1F90 01 0002A3F0:00000000 01:00000014 00000000     0        0 2 2 0 20 4 30 10 -1',
  ].join('\n')
  expect(findSendQueue(table, 0xd431, 0x1f90)).toBe(0x2a3f0)
  expect(findSendQueue(table, 0xd432, 0x1f90)).toBeUndefined()
})
