/** A copter that flies round a field and logs as an autopilot does: ArduPilot's messages in their text form. */
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** Simulated seconds in one second of the demo. */
const pace = 8
const stepSeconds = 0.02
const tickMs = 50
const home = { lat: 47.3977, lng: 8.5456, alt: 488 }
const legs = [0, 90, 180, 270]
const legSeconds = 9
const cruise = { alt: 40, speed: 8 }

type Line = readonly [type: string, ...fields: (string | number)[]]
type Phase = 'boot' | 'climb' | 'mission' | 'return' | 'land' | 'landed'

const bootLines: readonly Line[] = [
  ['MSG', 'ArduCopter V4.6.2 (b8ea3f1a)'],
  ['MSG', 'Frame: HEXA/X'],
  ['PARM', 'ARMING_CHECK', 1],
  ['PARM', 'BATT_CAPACITY', 16000],
  ['PARM', 'FENCE_ALT_MAX', 120],
  ['PARM', 'WPNAV_SPEED', 800],
  ['MODE', 'Loiter', 5, 1],
  ['MSG', 'EKF3 IMU0 initialised'],
  ['ERR', 'EKF_PRIMARY', 0],
  ['MSG', 'PreArm: GPS: waiting for 3D fix'],
]

/** What is said when a phase begins. */
const events: Readonly<Record<Phase, readonly Line[]>> = {
  boot: bootLines,
  climb: [
    ['MSG', 'GPS 1: detected u-blox, 17 satellites'],
    ['EV', 10],
    ['ARM', 1, 'GCS'],
    ['MODE', 'Auto', 3, 10],
    ['MSG', 'Mission: 1 Takeoff'],
  ],
  mission: [['MSG', 'Mission: 2 WP']],
  return: [
    ['ERR', 'FAILSAFE_BATT', 1],
    ['MSG', 'Battery 1 is low 21.02V used 9120 mAh'],
    ['MODE', 'RTL', 6, 3],
  ],
  land: [['MODE', 'Land', 9, 6]],
  landed: [
    ['EV', 18],
    ['EV', 11],
    ['ARM', 0, 'LANDED'],
    ['MSG', 'Disarming motors'],
  ],
}

/** The physics, as far as a log shows them. `step` moves it on and gives the lines of that moment. */
class Copter {
  #phase: Phase = 'boot'
  #phaseSeconds = 0
  #seconds = 0
  #steps = 0
  #north = 0
  #east = 0
  #alt = 0
  #heading = 0
  #usedMah = 1240
  #mayComeHome = false

  comeHome(): void {
    this.#mayComeHome = true
  }

  get isLanded(): boolean {
    return this.#phase === 'landed'
  }

  step(): Line[] {
    const lines = this.#steps === 0 ? [...events.boot] : []
    this.#seconds += stepSeconds
    this.#phaseSeconds += stepSeconds
    this.#steps++
    const next = this.#nextPhase()
    if (next !== this.#phase) {
      this.#phase = next
      this.#phaseSeconds = 0
      lines.push(...events[next])
    }
    this.#move()
    return [...lines, ...this.#attitude(), ...(this.#steps % 10 === 0 ? this.#position() : [])]
  }

  #nextPhase(): Phase {
    switch (this.#phase) {
      case 'boot':
        return this.#phaseSeconds > 4 ? 'climb' : 'boot'
      case 'climb':
        return this.#alt >= cruise.alt ? 'mission' : 'climb'
      case 'mission':
        return this.#mayComeHome ? 'return' : 'mission'
      case 'return':
        return this.#phaseSeconds > 4 ? 'land' : 'return'
      case 'land':
        return this.#alt <= 0 ? 'landed' : 'land'
      case 'landed':
        return 'landed'
    }
  }

  #move(): void {
    const leg = Math.floor(this.#phaseSeconds / legSeconds) % legs.length
    const turn = ((legs[leg] ?? 0) - this.#heading + 540) % 360
    if (this.#phase === 'mission') this.#heading = (this.#heading + (turn - 180) * 0.02 + 360) % 360
    const speed = this.#speed * stepSeconds
    this.#north += Math.cos((this.#heading * Math.PI) / 180) * speed
    this.#east += Math.sin((this.#heading * Math.PI) / 180) * speed
    this.#alt = Math.max(0, this.#alt + this.#climb * stepSeconds)
    this.#usedMah += (this.#amps * stepSeconds) / 3.6
  }

  get #speed(): number {
    return this.#phase === 'mission' || this.#phase === 'return' ? cruise.speed : 0
  }

  get #climb(): number {
    if (this.#phase === 'climb') return 4
    return this.#phase === 'land' ? -4 : 0
  }

  get #amps(): number {
    const isFlying = this.#phase !== 'boot' && this.#phase !== 'landed'
    return isFlying ? 31 + this.#climb * 1.5 + this.#shake(2.3, 1.2) : 0.8
  }

  /** Wind and vibration: the sum of two waves that do not meet again, so that no two lines are equal. */
  #shake(frequency: number, size: number): number {
    const inAir = this.#alt > 0 ? 1 : 0.04
    return (
      inAir * size * (Math.sin(this.#seconds * frequency) + 0.6 * Math.sin(this.#seconds * frequency * 7.31))
    )
  }

  #attitude(): Line[] {
    const roll = this.#shake(1.1, 2.4)
    const pitch = this.#shake(0.9, 1.8) - this.#speed * 0.7
    const at = this.#heading.toFixed(2)
    const gyro = [5.1, 4.3, 3.7].map((frequency) => this.#shake(frequency, 0.02).toFixed(5))
    const force = [this.#shake(9.1, 0.4), this.#shake(8.7, 0.4), this.#shake(11.9, 0.7) - 9.807]
    return [
      ['ATT', (roll * 0.9).toFixed(2), roll.toFixed(2), (pitch * 0.9).toFixed(2), pitch.toFixed(2), at, at],
      ['IMU', 0, ...gyro, ...force.map((value) => value.toFixed(4)), 0, 0, 41.2, 1, 1, 1000, 1000],
    ]
  }

  #position(): Line[] {
    const lat = (home.lat + this.#north / 111_320).toFixed(7)
    const lng = (home.lng + this.#east / 75_360).toFixed(7)
    const alt = this.#alt + this.#shake(0.4, 0.2)
    const above = (home.alt + alt).toFixed(2)
    const sats = this.#phase === 'boot' ? Math.floor(this.#phaseSeconds * 4) : 17
    const volts = 25.1 - this.#usedMah / 2400 - this.#amps * 0.011
    const press = (95_600 - alt * 11.3).toFixed(2)
    const wobble = [13.1, 12.3, 14.9].map((frequency) => (8 + this.#shake(frequency, 4)).toFixed(3))
    return [
      ['GPS', 0, sats > 5 ? 3 : 1, sats, 0.72, lat, lng, above, this.#speed.toFixed(2), -this.#climb],
      ['BARO', 0, alt.toFixed(2), above, press, 31.4],
      ['BAT', 0, volts.toFixed(3), this.#amps.toFixed(2), this.#usedMah.toFixed(1), 36.2],
      ['VIBE', 0, ...wobble, 0],
    ]
  }

  /** Microseconds since boot stand behind the type, as in every ArduPilot message. */
  text(lines: readonly Line[]): string {
    const timeUs = Math.round(this.#seconds * 1e6)
    return lines.map(([type, ...fields]) => `${[type, timeUs, ...fields].join(', ')}\n`).join('')
  }
}

/** Takes off at once, and writes its log until it has landed. Disposed of in the air, it stops in mid-line. */
export class Flight implements AsyncDisposable {
  readonly #copter = new Copter()
  readonly #falling = new AbortController()
  readonly #flown: Promise<void>

  constructor(path: string) {
    this.#flown = fly(this.#copter, path, this.#falling.signal)
    // `land` and the disposal tell whoever waits.
    this.#flown.catch(() => undefined)
  }

  /** Ends the mission. Resolves when the motors are off and the log is complete. */
  async land(): Promise<void> {
    this.#copter.comeHome()
    await this.#flown
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#falling.abort()
    await this.#flown.catch(() => undefined)
  }
}

async function fly(copter: Copter, path: string, falling: AbortSignal): Promise<void> {
  await using log = await open(path, 'ax')
  const steps = Math.round((tickMs / 1000 / stepSeconds) * pace)
  while (!copter.isLanded && !falling.aborted) {
    let text = ''
    for (let step = 0; step < steps; step++) text += copter.text(copter.step())
    await log.appendFile(text)
    await sleep(tickMs)
  }
}
