import { setTimeout as sleep } from 'node:timers/promises'
import type { Flight } from './flight.ts'
import type { Seeded } from './seeded.ts'

const names = ['autopilot.log', 'no newline at the end.log', 'blackbox.bin', 'video.bin'] as const

/** Appends pieces of odd sizes to text and binary files, in seeded order, until it is disposed of. */
export class Writers implements AsyncDisposable {
  readonly #flight: Flight
  readonly #chance: Seeded
  readonly #stop = new AbortController()
  readonly #writing: Promise<void>

  constructor(flight: Flight, chance: Seeded) {
    this.#flight = flight
    this.#chance = chance
    this.#writing = this.#write()
  }

  async #write(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const name = this.#chance.pick(names)
      const count = 1 + this.#chance.below(this.#chance.below(4) === 0 ? 70_000 : 3000)
      await this.#flight.append(
        name,
        name.endsWith('.bin') ? this.#chance.bytes(count) : this.#chance.text(count),
      )
      await sleep(this.#chance.below(20), undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#writing
  }
}

/** Waits for a random moment: so many more bytes on the link, or so much time, whatever comes first. */
export async function randomMoment({ link }: Flight, chance: Seeded): Promise<void> {
  const goal = link.bytesToServer + chance.below(100_000)
  const late = new AbortController()
  const time = sleep(chance.below(400), undefined, { signal: late.signal }).catch(() => undefined)
  await Promise.race([link.until(() => link.bytesToServer >= goal), time])
  late.abort()
}

export interface Kills {
  readonly agent: number
  readonly server: number
}

/** Kills agent and server by SIGKILL, each at random moments and each so many times, while writers write. */
export async function killAtRandom(flight: Flight, kills: Kills, chance: Seeded): Promise<void> {
  await using _writers = new Writers(flight, chance)
  const killAgent = async (): Promise<void> => {
    for (let kill = 0; kill < kills.agent; kill++) {
      await flight.startAgent()
      await randomMoment(flight, chance)
      await flight.killAgent()
    }
  }
  const killServer = async (): Promise<void> => {
    for (let kill = 0; kill < kills.server; kill++) {
      await randomMoment(flight, chance)
      await flight.killServer()
      await flight.startServer()
    }
  }
  await Promise.all([killAgent(), killServer()])
}
