import { expect, test } from 'vitest'
import { paths } from '../../protocol/contract.ts'
import { Flight } from '../kit/flight.ts'
import { NockDrone } from '../kit/nock-drone.ts'
import {
  captivePortal,
  halfAnAnswer,
  inTurn,
  offline,
  onlyFor,
  serverErrors,
  slow,
  tricklingAnswer,
} from '../kit/nock-scenarios.ts'
import { SilentServer } from '../kit/silent-server.ts'

const impatient = {
  delivery: { requestMaxBytes: '128KiB', requestTimeout: '1s', retry: { min: '10ms', max: '50ms' } },
}

test('a server that accepts and never answers is given up, and what it took is sent to one that does', async () => {
  await using flight = await Flight.start({ settings: impatient })
  await using silent = await SilentServer.start()
  flight.link.retarget(silent.port)
  await flight.append('a.log', 'to somebody who does not answer\n')
  await flight.startAgent()
  await flight.statusUntil(({ link, queue }) => link.is === 'waiting' && queue.records === 1)
  expect(flight.link.bytesToServer).toBeGreaterThan(0)
  flight.link.retarget(flight.serverPort)
  await flight.land()
  await flight.expectWhole()
  await flight.expectQueueEmpty()
})

test('of two servers behind one address only the one whose key is pinned is believed, and it has everything once', async () => {
  await using flight = await Flight.start({ settings: impatient })
  await using other = await Flight.start()
  flight.link.retarget(other.serverPort, flight.serverPort)
  await flight.startAgent()
  // Every other connection leads to the other one; an answer of nobody's ends it, and the next may lead elsewhere.
  for (const text of ['one\n', 'two\n', 'three\n']) {
    await flight.append('a.log', text)
    await flight.land()
  }
  expect(flight.link.connections).toBeGreaterThan(1)
  expect(await other.files()).toEqual([])
  await flight.expectWhole()
  await flight.expectQueueEmpty()
})

test('a connection that is half open is given up, and what was on it comes over a new one, once', async () => {
  await using flight = await Flight.start({ settings: impatient })
  await flight.startAgent()
  await flight.append('a.log', 'before\n')
  await flight.land()
  flight.link.halfOpen()
  await flight.append('a.log', 'after the address changed\n')
  await flight.land()
  expect(flight.link.connections).toBeGreaterThan(1)
  await flight.expectWhole()
  await flight.expectQueueEmpty()
})

test('a server whose store is a new, empty one is found out: status says that receipts are void', async () => {
  await using flight = await Flight.start({ settings: impatient })
  await flight.startAgent()
  await flight.append('a.log', 'receipted, and then lost by the server\n')
  await flight.land()
  await flight.stopAgent()
  await flight.loseStore()
  await flight.append('b.log', 'written while the server was away\n')
  await flight.startServer()
  // It asks who is there at its start, and once a minute after that.
  await flight.startAgent()
  const { link } = await flight.statusUntil(({ link: now }) => now.notice !== undefined)
  expect(link.notice).toMatch(/does not have what it signed for/)
  await flight.agent?.line(/ receiptsLost /)
  await flight.land()
  expect(Buffer.from(await flight.cat(flight.path('b.log'))).toString()).toBe(
    'written while the server was away\n',
  )
  expect(Buffer.from(await flight.cat(flight.path('a.log'))).toString()).toBe(
    'receipted, and then lost by the server\n',
  )
  // The server says itself that something was there once.
  expect(await flight.verify()).toMatchObject({ status: 74, problems: [{ code: 'GAP' }] })
})

test('the wall clock may jump from 1970 to now and a day back: pauses do not, and nothing is lost', async () => {
  let wallMs = 0
  const scenario = onlyFor(paths.chunks, inTurn(offline(4), serverErrors(4)))
  await using drone = await NockDrone.start(scenario, { clock: { wallMs: () => wallMs } })
  const day = 86_400_000
  for (const jumpMs of [20_000 * day, -day, 400 * day, -20_000 * day]) {
    await drone.append('flight.log', `the clock says ${wallMs}\n`)
    wallMs = Math.max(0, wallMs + jumpMs)
    await drone.land()
  }
  await drone.writeUntilPlayed('more.log')
  expect(await drone.whatIsWrong()).toEqual([])
  const pauses = drone.told.named('deliveryFailed').map(([, , ms]) => Number(ms))
  expect(pauses).toHaveLength(8)
  expect(Math.max(...pauses)).toBeLessThanOrEqual(30)
})

test.each([
  ['with a login page', captivePortal()],
  ['by half', halfAnAnswer()],
  ['a byte at a time', tricklingAnswer(200)],
  ['not at all', slow(5000)],
  ['with 503', serverErrors()],
])(
  'a server whose GET /v1/capabilities somebody answers %s gets every byte meanwhile',
  async (_, scenario) => {
    await using drone = await NockDrone.start(onlyFor(paths.capabilities, scenario))
    for (let round = 0; round < 5; round++) {
      await drone.append('flight.log', `${'x'.repeat(100_000)} ${round}\n`)
      await drone.land()
    }
    expect(await drone.whatIsWrong()).toEqual([])
    expect(drone.server.isPlaying).toBe(false)
    expect(drone.told.named('deliveryFailed')).toEqual([])
  },
)
