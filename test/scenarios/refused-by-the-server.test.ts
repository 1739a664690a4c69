import { describe, expect, test } from 'vitest'
import { base64url } from '../../protocol/ids.ts'
import { makeSigner } from '../kit/drone.ts'
import { Flight } from '../kit/flight.ts'

describe('a drone that the server does not take keeps everything and says why', () => {
  test('unknown to it: 401 with the code; once it is registered all is delivered, without a restart', async () => {
    await using flight = await Flight.start({ isUnregistered: true })
    await flight.append('a.log', 'before anybody knew this drone\n')
    await flight.startAgent()
    const report = await flight.statusUntil(({ link, queue }) => link.is === 'waiting' && queue.records === 1)
    expect(report.link).toMatchObject({ why: expect.stringContaining('401, DEVICE_UNKNOWN') })
    expect(report.queue.setAside).toEqual([])
    expect((await flight.flush('0s')).status).toBe(75)
    await flight.register()
    await flight.land()
    await flight.expectWhole()
    await flight.expectQueueEmpty()
  })

  test('revoked: 403 with the code, and what came before stays', async () => {
    await using flight = await Flight.start()
    await flight.append('a.log', 'before\n')
    await flight.startAgent()
    await flight.land()
    expect((await flight.serverCommand('device', 'revoke', flight.device)).status).toBe(0)
    await flight.append('a.log', 'after\n')
    const report = await flight.statusUntil(({ link, queue }) => link.is === 'waiting' && queue.records === 1)
    expect(report.link).toMatchObject({ why: expect.stringContaining('403, KEY_REVOKED') })
    expect(Buffer.from(await flight.cat(flight.path('a.log'))).toString()).toBe('before\n')
    expect(await flight.verify()).toEqual({ status: 0, problems: [] })
  })

  test('that pins another key: nothing is believed, and with the right key all of it is there once', async () => {
    await using flight = await Flight.start()
    await flight.append('a.log', 'for the right server only\n')
    const stranger = base64url(makeSigner().publicKey.bytes)
    await flight.startAgent(['--server-public-key', stranger])
    const report = await flight.statusUntil(({ link, queue }) => link.is === 'waiting' && queue.records === 1)
    expect(report.link).toMatchObject({ why: expect.stringContaining('not our server') })
    await flight.stopAgent()
    await flight.startAgent()
    await flight.land()
    await flight.expectWhole()
    await flight.expectQueueEmpty()
  })
})

test('what the server has can be listed, read and verified by its commands', async () => {
  await using flight = await Flight.start()
  const content = Buffer.from('CRLF\r\nNUL\0 and no end')
  await flight.append('a.log', content)
  await flight.startAgent()
  await flight.land()
  expect(await flight.files()).toMatchObject([
    { path: flight.path('a.log'), bytes: content.length, whole: true },
  ])
  expect(content.equals(await flight.cat(flight.path('a.log')))).toBe(true)
  expect(await flight.verify()).toEqual({ status: 0, problems: [] })
})
