import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { minimal } from 'node-mavlink'
import { describe, expect, test } from 'vitest'
import { openGate } from '../../agent/deliver/gate-keepers.ts'
import type { GateKeeper } from '../../agent/deliver/gate.ts'
import { listenForHeartbeats } from '../../agent/deliver/mavlink-keeper.ts'
import { realWorld } from '../../agent/world.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { freeUdpPort } from '../kit/free-udp-port.ts'
import { armed, disarmed, heartbeat } from '../kit/heartbeat.ts'
import { never } from '../kit/queue-kit.ts'

const groundStation = heartbeat(0, minimal.MavAutopilot.INVALID)

/** A keeper, and those that it hears. */
class Air implements AsyncDisposable {
  readonly clock: FakeClock
  readonly port: number
  readonly keeper: GateKeeper
  readonly #socket = createSocket('udp4')

  static async open(): Promise<Air> {
    const port = await freeUdpPort()
    const clock = new FakeClock()
    return new Air(port, clock, await listenForHeartbeats({ host: '127.0.0.1', port }, clock))
  }

  private constructor(port: number, clock: FakeClock, keeper: GateKeeper) {
    this.port = port
    this.clock = clock
    this.keeper = keeper
  }

  say(bytes: Uint8Array): void {
    this.#socket.send(bytes, this.port, '127.0.0.1')
  }

  /** What was sent on a loopback address is in the receiver's queue, and read before its next timers. */
  async settled(): Promise<void> {
    await realWorld().clock.sleep(20, never)
  }

  async until(why: string | undefined): Promise<void> {
    while ((await this.keeper.closedBy(never)) !== why) await realWorld().clock.sleep(5, never)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close()
    await this.keeper[Symbol.asyncDispose]()
  }
}

const isArmed = 'the autopilot is armed'

describe('the heartbeat of an autopilot', () => {
  test('closes while it is armed, whoever else talks; silence is believed for five minutes', async () => {
    await using air = await Air.open()
    air.say(armed)
    await air.until(isArmed)
    air.say(Buffer.from('no MAVLink at all'))
    air.say(groundStation)
    air.say(disarmed)
    await air.until(undefined)
    air.say(armed)
    await air.until(isArmed)
    air.clock.advance(5 * 60_000 - 1)
    expect(await air.keeper.closedBy(never)).toBe(isArmed)
    air.clock.advance(1)
    expect(await air.keeper.closedBy(never)).toBeUndefined()
  })

  test('is waited for at the start, for two seconds', async () => {
    await using air = await Air.open()
    air.clock.advance(1999)
    expect(await air.keeper.closedBy(never)).toBe('no heartbeat of the autopilot yet')
    air.clock.advance(1)
    expect(await air.keeper.closedBy(never)).toBeUndefined()
    await using heard = await Air.open()
    heard.say(disarmed)
    await heard.until(undefined)
  })

  test('is heard behind half a frame', async () => {
    await using air = await Air.open()
    air.say(Buffer.from([0xfd, 255, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]))
    air.say(armed)
    await air.until(isArmed)
    expect(await air.keeper.closedBy(never)).toBe(isArmed)
  })

  test('of another vehicle that is disarmed opens nothing', async () => {
    await using air = await Air.open()
    air.say(armed)
    await air.until(isArmed)
    air.say(heartbeat(1, minimal.MavAutopilot.ARDUPILOTMEGA, 7))
    air.say(heartbeat(minimal.MavModeFlag.SAFETY_ARMED, minimal.MavAutopilot.ARDUPILOTMEGA, 9))
    air.say(disarmed)
    await air.settled()
    expect(await air.keeper.closedBy(never)).toBe(isArmed)
    air.say(heartbeat(1, minimal.MavAutopilot.ARDUPILOTMEGA, 9))
    await air.until(undefined)
  })

  test('cannot be taken by another program that listens at the same address', async () => {
    await using air = await Air.open()
    const other = createSocket({ type: 'udp4', reuseAddr: true })
    other.bind(air.port, '127.0.0.1')
    await expect(once(other, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' })
    other.close()
  })

  test('that cannot be listened for is a fault that says where', async () => {
    const world = realWorld()
    const mavlink = { host: '203.0.113.1', port: 14_550 }
    const opening = openGate({ file: undefined, command: undefined, mavlink }, world)
    await expect(opening).rejects.toMatchObject({ code: 'GATE_UNUSABLE' })
    expect(await openGate({ file: undefined, command: undefined, mavlink: undefined }, world)).toBeUndefined()
  })
})
