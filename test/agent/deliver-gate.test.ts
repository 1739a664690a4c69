import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MavLinkProtocolV2, minimal } from 'node-mavlink'
import { describe, expect, test } from 'vitest'
import { commandKeeper, fileKeeper, openGate } from '../../agent/deliver/gate-keepers.ts'
import { Gate, type GateKeeper } from '../../agent/deliver/gate.ts'
import { listenForHeartbeats } from '../../agent/deliver/mavlink-keeper.ts'
import { realWorld } from '../../agent/world.ts'
import { DeliveryKit, seqsOf } from '../kit/delivery-kit.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { never } from '../kit/queue-kit.ts'
import { tempFolder } from '../kit/temp-folder.ts'

/** One that a test opens and closes. */
class Latch implements GateKeeper {
  readonly everyMs = 200
  why: string | undefined
  looks = 0

  async closedBy(): Promise<string | undefined> {
    this.looks++
    return this.why
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held.
  }
}

describe('a gate', () => {
  test('that closes ends what is under way within a second; when it opens, the server is asked what it has', async () => {
    await using kit = await DeliveryKit.start(['one\n', 'two\n'])
    const latch = new Latch()
    const delivery = kit.run({ gate: new Gate([latch], kit.world.clock) })
    const sent = await kit.chunks()
    latch.why = 'the autopilot is armed'
    const closedMs = kit.world.clock.monotonicMs()
    while (!sent.signal.aborted) await kit.world.clock.skip()
    expect(kit.world.clock.monotonicMs() - closedMs).toBeLessThan(1000)
    await kit.world.told.told('deliveryHeld')
    expect(delivery.report).toEqual({ is: 'held', why: 'the autopilot is armed' })
    await kit.append('three\n')
    latch.why = undefined
    await kit.world.clock.skip()
    const question = await kit.question()
    expect(seqsOf(question)).toEqual([0, 1])
    kit.store(question, (seq) => seq === 0)
    for (let time = 2; kit.queue.ledger.records > 0; time++) {
      kit.store(await kit.chunks(time))
      await kit.world.told.told('forgotten', time)
    }
    expect(kit.world.told.named('deliveryFailed')).toEqual([])
  })

  test('that is closed from the start lets nothing out, not even a question, and is not looked at when nothing waits', async () => {
    await using kit = await DeliveryKit.start([])
    const latch = new Latch()
    latch.why = 'closed'
    kit.run({ gate: new Gate([latch], kit.world.clock) })
    // Delivery begins with the same.
    for (const name of ['capabilities', 'stores', 'stores'] as const) await kit.queue.recall(name)
    expect(latch.looks).toBe(0)
    await kit.append('one\n')
    await kit.world.told.told('deliveryHeld')
    for (let times = 0; times < 5; times++) await kit.world.clock.skip()
    expect(kit.link.asked).toEqual([])
    latch.why = undefined
    await kit.world.clock.skip()
    kit.store(await kit.chunks())
    await kit.emptied()
  })

  test('asks each of its keepers no more often than it wants, and is closed by any of them', async () => {
    const clock = new FakeClock()
    const [eager, slow] = [new Latch(), Object.assign(new Latch(), { everyMs: 5000 })]
    const gate = new Gate([eager, slow], clock)
    for (let times = 0; times < 50; times++) {
      await gate.closedBy(never)
      clock.advance(gate.everyMs)
    }
    expect([eager.looks, slow.looks]).toEqual([50, 3])
    slow.why = 'slow'
    clock.advance(5000)
    expect(await gate.closedBy(never)).toBe('slow')
  })
})

test('a file holds delivery back while it is there, and one that cannot be looked for as well', async () => {
  await using folder = await tempFolder()
  const path = join(folder.path, 'armed')
  const keeper = fileKeeper(path, realWorld().files)
  expect(await keeper.closedBy(never)).toBeUndefined()
  await writeFile(path, '')
  expect(await keeper.closedBy(never)).toBe(`${path} is there`)
  await rm(path)
  expect(await keeper.closedBy(never)).toBeUndefined()
  const refusing = { facts: () => Promise.reject(Object.assign(new Error('no'), { code: 'EACCES' })) }
  expect(await fileKeeper(path, refusing).closedBy(never)).toContain('EACCES')
})

test.each([
  ['true', undefined],
  ['exit 3', '"exit 3" ended with 3'],
  ['no-such-command', '"no-such-command" ended with 127'],
  ['sleep 60', '"sleep 60" did not end in time'],
])('the command "%s" says of delivery: %s', async (command, why) => {
  expect(await commandKeeper(command, 300).closedBy(never)).toBe(why)
})

const heartbeat = (baseMode: number, autopilot = minimal.MavAutopilot.ARDUPILOTMEGA): Buffer => {
  const message = new minimal.Heartbeat()
  Object.assign(message, {
    baseMode,
    autopilot,
    type: 2,
    systemStatus: 4,
    mavlinkVersion: 3,
    customMode: 0,
  })
  return new MavLinkProtocolV2(1, 1).serialize(message, 0)
}
const armed = heartbeat(minimal.MavModeFlag.SAFETY_ARMED | 1)
const disarmed = heartbeat(1)
const groundStation = heartbeat(0, minimal.MavAutopilot.INVALID)

describe('the heartbeat of an autopilot', () => {
  test('closes while it is armed, whoever else talks; silence is believed for five minutes', async () => {
    const port = await freePort()
    const clock = new FakeClock()
    await using keeper = await listenForHeartbeats({ host: '127.0.0.1', port }, clock)
    const socket = createSocket('udp4')
    const say = (bytes: Buffer): void => socket.send(bytes, port, '127.0.0.1')
    const until = async (why: string | undefined): Promise<void> => {
      while ((await keeper.closedBy(never)) !== why) await realWorld().clock.sleep(5, never)
    }
    expect(await keeper.closedBy(never)).toBeUndefined()
    say(armed)
    await until('the autopilot is armed')
    say(Buffer.from('no MAVLink at all'))
    say(groundStation)
    say(disarmed)
    await until(undefined)
    say(armed)
    await until('the autopilot is armed')
    clock.advance(5 * 60_000 - 1)
    expect(await keeper.closedBy(never)).toBe('the autopilot is armed')
    clock.advance(1)
    expect(await keeper.closedBy(never)).toBeUndefined()
    socket.close()
  })

  test('that cannot be listened for is a fault that says where', async () => {
    const world = realWorld()
    const mavlink = { host: '203.0.113.1', port: 14_550 }
    const opening = openGate({ file: undefined, command: undefined, mavlink }, world)
    await expect(opening).rejects.toMatchObject({ code: 'GATE_UNUSABLE' })
    expect(await openGate({ file: undefined, command: undefined, mavlink: undefined }, world)).toBeUndefined()
  })
})

async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}
