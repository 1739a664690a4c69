import { describe, expect, test } from 'vitest'
import { paths } from '../../protocol/contract.ts'
import { Flight } from '../kit/flight.ts'
import { NockDrone } from '../kit/nock-drone.ts'
import {
  captivePortal,
  dnsGone,
  flapping,
  good,
  halfAnAnswer,
  lostAcknowledgement,
  offline,
  oldReceipt,
  onlyFor,
  refused,
  serverErrors,
  slow,
  someoneElsesReceipt,
  inTurn,
  tricklingAnswer,
  truncatingProxy,
  wrongReceipt,
} from '../kit/nock-scenarios.ts'
import { Seeded } from '../kit/seeded.ts'

/*
 * Copy the first test, or the second for real processes: choose what the network does, write log lines until it has done all of it,
 * and compare what the server has with what was written.
 */

test('a day of a bad network: nothing is lost', async () => {
  await using drone = await NockDrone.start(
    inTurn(offline(3), flapping(2), serverErrors(2), lostAcknowledgement(), captivePortal(2), slow(100)),
  )
  const written = await drone.writeUntilPlayed('flight.log')
  expect(await drone.whatIsWrong()).toEqual([])
  expect(drone.server.contentOf(drone.path('flight.log'))).toBe(written)
})

test('a tunnel in the middle of an upload costs nothing', async () => {
  await using flight = await Flight.start({ link: { latencyMs: 40, bytesPerSecond: 500_000 } })
  await flight.startAgent()
  await flight.append('flight.log', new Seeded(1).text(500_000))
  await flight.link.until(({ bytesToServer }) => bytesToServer > 10_000)
  flight.link.cut()
  await flight.append('flight.log', 'written in the tunnel\n')
  flight.link.restore()
  await flight.land()
  expect(await flight.whatIsWrong()).toEqual([])
})

describe('what is in the queue stays there until the server has signed for it, whatever else comes back', () => {
  test.each([
    ['no network', offline()],
    ['nobody listens', refused()],
    ['no such name', dnsGone()],
    ['503', serverErrors()],
    ['429', serverErrors(1, { status: 429 })],
    ['502 from a proxy', serverErrors(1, { status: 502 })],
    ['a login page', captivePortal()],
    ["a stranger's receipt", wrongReceipt()],
    ['an old receipt', oldReceipt()],
    ["another drone's receipt", someoneElsesReceipt()],
    ['a lost acknowledgement', lostAcknowledgement()],
    ['half an answer', halfAnAnswer()],
    ['an answer that a proxy cut off', truncatingProxy()],
  ])('%s', async (_, scenario) => {
    await using drone = await NockDrone.start(onlyFor(paths.chunks, scenario))
    await drone.append('flight.log', 'kept until it is safe\n')
    await drone.told.told('deliveryFailed')
    await drone.land()
    expect(await drone.whatIsWrong()).toEqual([])
  })
})

test.each([
  ['slow', slow(300)],
  ['that comes a byte at a time', tricklingAnswer(2)],
])('an answer %s is waited for: nothing is sent again', async (_, scenario) => {
  const delivery = { requestTimeout: '60s' }
  await using drone = await NockDrone.start(onlyFor(paths.chunks, scenario), { settings: { delivery } })
  await drone.append('flight.log', 'once is enough\n')
  await drone.land()
  expect(drone.told.named('deliveryFailed')).toEqual([])
  expect(drone.server.requests.filter(({ path }) => path === paths.chunks)).toHaveLength(1)
})

test('scenarios follow one another as they are put together, and then the server is good', async () => {
  await using drone = await NockDrone.start(
    onlyFor(paths.chunks, inTurn(offline(2), good(), serverErrors(1))),
  )
  await drone.append('flight.log', 'first\n')
  await drone.land()
  expect(drone.told.named('deliveryFailed')).toHaveLength(2)
  await drone.append('flight.log', 'second\n')
  await drone.land()
  expect(drone.told.named('deliveryFailed')).toHaveLength(3)
  expect(await drone.whatIsWrong()).toEqual([])
})
