import { createSocket } from 'node:dgram'
import { expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import { freeUdpPort } from '../kit/free-udp-port.ts'
import { armed, disarmed } from '../kit/heartbeat.ts'
import { Seeded } from '../kit/seeded.ts'

test('while the autopilot says that it is armed not a byte is sent, and capture goes on', async () => {
  const port = await freeUdpPort()
  // The agent's own limit makes one request last three seconds. The link is perfect: what has left has arrived.
  const delivery = {
    requestMaxBytes: '1MiB',
    rateLimit: '100KiB',
    retry: { min: '10ms', max: '100ms' },
    gate: { mavlink: `127.0.0.1:${port}` },
  }
  const chunks = { maxBytes: '512KiB', maxAge: '50ms' }
  await using flight = await Flight.start({ settings: { delivery, chunks } })
  await flight.append('before.bin', new Seeded(1).bytes(300_000))
  await flight.startAgent()
  await flight.link.until(({ bytesToServer }) => bytesToServer > 50_000)
  await say(armed, port)
  await flight.statusUntil(({ link }) => link.is === 'held')
  // An answer later all that arrived has been counted.
  await flight.status()
  const { bytesToServer } = flight.link
  await flight.append('in the air.log', 'still captured\n')
  const report = await flight.statusUntil(({ files }) => files.some(({ queuedBytes }) => queuedBytes === 15))
  expect(report.link).toEqual({ is: 'held', why: 'the autopilot is armed' })
  expect(report.totals.receiptedBytes).toBe(0)
  expect(flight.link.bytesToServer).toBe(bytesToServer)
  await say(disarmed, port)
  await flight.land()
  await flight.expectWhole()
})

async function say(bytes: Buffer, port: number): Promise<void> {
  const socket = createSocket('udp4')
  await new Promise((resolve) => socket.send(bytes, port, '127.0.0.1', resolve))
  socket.close()
}
