import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { MavLinkPacketParser, MavLinkPacketSplitter, minimal, type MavLinkPacket } from 'node-mavlink'
import type { Clock } from '../clock.ts'
import type { UdpAddress } from '../delivery-settings.ts'
import { agentFault } from '../faults.ts'
import { sayCause } from '../say-cause.ts'
import type { GateKeeper } from './gate.ts'

const lookEveryMs = 200
/**
 * An autopilot that was armed and is silent may be flying behind a broken telemetry line: for so long it counts as armed.
 * After that it is taken for switched off.
 */
const believedMs = 5 * 60_000

/** Closed while the autopilot that is heard on this address is armed. Throws GATE_UNUSABLE. */
export async function listenForHeartbeats({ host, port }: UdpAddress, clock: Clock): Promise<GateKeeper> {
  const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', reuseAddr: true })
  const splitter = new MavLinkPacketSplitter()
  let armedMs: number | undefined
  splitter.pipe(new MavLinkPacketParser()).on('data', (packet: MavLinkPacket) => {
    const isArmed = armedBy(packet)
    if (isArmed !== undefined) armedMs = isArmed ? clock.monotonicMs() : undefined
  })
  socket.on('message', (datagram) => splitter.write(datagram))
  try {
    socket.bind(port, host)
    await once(socket, 'listening')
  } catch (cause) {
    throw agentFault('GATE_UNUSABLE', `cannot listen on ${host}:${port} (${sayCause(cause)})`, { cause })
  }
  // It can fail later too, as when its address goes away; what was heard last counts then until it is too old.
  socket.on('error', () => undefined)
  return {
    everyMs: lookEveryMs,
    closedBy: async () => {
      const isArmed = armedMs !== undefined && clock.monotonicMs() - armedMs < believedMs
      return isArmed ? 'the autopilot is armed' : undefined
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  }
}

/** undefined where it is no heartbeat of an autopilot: ground stations and gimbals send some as well. */
function armedBy({ header, payload, protocol }: MavLinkPacket): boolean | undefined {
  if (header.msgid !== minimal.Heartbeat.MSG_ID) return undefined
  const { autopilot, baseMode } = protocol.data(payload, minimal.Heartbeat)
  if (autopilot === minimal.MavAutopilot.INVALID) return undefined
  return (baseMode & minimal.MavModeFlag.SAFETY_ARMED) !== 0
}
