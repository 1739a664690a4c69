import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { MavLinkPacketParser, MavLinkPacketSplitter, minimal, type MavLinkPacket } from 'node-mavlink'
import type { Clock } from '../clock.ts'
import type { UdpAddress } from '../delivery-settings.ts'
import { agentFault } from '../faults.ts'
import { sayCause } from '../say-cause.ts'
import type { GateKeeper } from './gate.ts'

const lookEveryMs = 200
/** An autopilot says once a second whether it is armed: so long nothing is known after the start. */
const firstHeartbeatMs = 2000
/**
 * An autopilot that was armed and is silent may be flying behind a broken telemetry line: for so long it counts as armed.
 * After that it is taken for switched off.
 */
const believedMs = 5 * 60_000

/** Closed while an autopilot that is heard on this address is armed. Throws GATE_UNUSABLE. */
export async function listenForHeartbeats({ host, port }: UdpAddress, clock: Clock): Promise<GateKeeper> {
  // Without `reuseAddr`: a later program that listens there too would silently take all that arrives.
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const autopilots = new Autopilots(clock)
  socket.on('message', (datagram) => autopilots.hear(datagram))
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
    closedBy: async () => autopilots.closedBy(),
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  }
}

/** Those that are armed, each by itself: another vehicle that is heard and disarmed opens nothing. */
class Autopilots {
  readonly #clock: Clock
  readonly #beganMs: number
  #isHeard = false
  /** When each was last said to be armed. */
  readonly #armedMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#beganMs = clock.monotonicMs()
  }

  /** A frame ends within its datagram: half of one takes nothing of the next with it. */
  hear(datagram: Uint8Array): void {
    const splitter = new MavLinkPacketSplitter()
    splitter.pipe(new MavLinkPacketParser()).on('data', (packet: MavLinkPacket) => this.#note(packet))
    splitter.end(datagram)
  }

  #note(packet: MavLinkPacket): void {
    const isArmed = armedBy(packet)
    if (isArmed === undefined) return
    const { sysid, compid } = packet.header
    this.#isHeard = true
    if (isArmed) this.#armedMs.set(`${sysid}/${compid}`, this.#clock.monotonicMs())
    else this.#armedMs.delete(`${sysid}/${compid}`)
  }

  closedBy(): string | undefined {
    const nowMs = this.#clock.monotonicMs()
    if ([...this.#armedMs.values()].some((ms) => nowMs - ms < believedMs)) return 'the autopilot is armed'
    if (this.#isHeard || nowMs - this.#beganMs >= firstHeartbeatMs) return undefined
    return 'no heartbeat of the autopilot yet'
  }
}

/** undefined where it is no heartbeat of an autopilot: ground stations and gimbals send some as well. */
function armedBy({ header, payload, protocol }: MavLinkPacket): boolean | undefined {
  if (header.msgid !== minimal.Heartbeat.MSG_ID) return undefined
  const { autopilot, baseMode } = protocol.data(payload, minimal.Heartbeat)
  if (autopilot === minimal.MavAutopilot.INVALID) return undefined
  return (baseMode & minimal.MavModeFlag.SAFETY_ARMED) !== 0
}
