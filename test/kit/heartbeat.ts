import { MavLinkProtocolV2, minimal } from 'node-mavlink'

/** A MAVLink heartbeat as it goes over UDP. */
export function heartbeat(
  baseMode: number,
  autopilot: minimal.MavAutopilot = minimal.MavAutopilot.ARDUPILOTMEGA,
  vehicle = 1,
): Buffer {
  const message = new minimal.Heartbeat()
  Object.assign(message, { autopilot, baseMode, type: 2, systemStatus: 4, mavlinkVersion: 3, customMode: 0 })
  return new MavLinkProtocolV2(vehicle, 1).serialize(message, 0)
}

export const armed = heartbeat(minimal.MavModeFlag.SAFETY_ARMED | 1)
export const disarmed = heartbeat(1)
