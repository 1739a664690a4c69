import { Doorbell } from '../doorbell.ts'
import type { TaskGroup } from '../task-group.ts'
import type { World } from '../world.ts'
import type { Gate } from './gate.ts'

/** What is held back. */
interface Traffic {
  /** Nothing waits to be sent. */
  readonly isIdle: () => boolean
  /** A request is not over. */
  readonly isUnderWay: () => boolean
}

/** Holds delivery back while the gate is closed, and gives up what is under way when it closes. */
export class Hold {
  readonly #gate: Gate | undefined
  readonly #world: Pick<World, 'clock' | 'journal'>
  readonly #traffic: Traffic
  /** Rings when what was under way is given up because the gate has closed. */
  readonly closed = new Doorbell()
  #why: string | undefined
  #abandoning = new AbortController()
  #isWatching = false

  constructor(gate: Gate | undefined, world: Pick<World, 'clock' | 'journal'>, traffic: Traffic) {
    this.#gate = gate
    this.#world = world
    this.#traffic = traffic
  }

  /** Who holds delivery back, as was last found. */
  get why(): string | undefined {
    return this.#why
  }

  /** Fires when what begins now is to be given up. */
  get signal(): AbortSignal {
    return this.#abandoning.signal
  }

  /** Gives up what is under way. */
  readonly abandon = (): void => this.#abandoning.abort()

  /** Only asked where there is something to send: a gate is not looked at for nothing. */
  async isClosed(): Promise<boolean> {
    const { signal } = this
    const isIdle = this.#traffic.isIdle()
    const why = isIdle ? undefined : await this.#gate?.closedBy(signal)
    // When it is given up meanwhile, who does that has said why.
    if (isIdle || !signal.aborted) this.#why = why
    return this.#why !== undefined
  }

  /** Resolves when the gate is open, or the signal fires. */
  async opened(signal: AbortSignal): Promise<void> {
    const { clock, journal } = this.#world
    journal.deliveryHeld(this.#why ?? '')
    while (!signal.aborted && this.#why !== undefined) {
      await clock.sleep(this.#gate?.everyMs ?? 0, signal)
      this.#why = await this.#gate?.closedBy(signal)
    }
    journal.deliveryReleased()
  }

  /** Looks at the gate for as long as something is under way. */
  watch(tasks: TaskGroup): void {
    const gate = this.#gate
    if (gate && !this.#isWatching) tasks.start(() => this.#watch(gate))
  }

  async #watch(gate: Gate): Promise<void> {
    const { signal } = this
    this.#isWatching = true
    while (!signal.aborted && this.#traffic.isUnderWay()) {
      await this.#world.clock.sleep(gate.everyMs, signal)
      const why = await gate.closedBy(signal)
      if (why !== undefined && this.#traffic.isUnderWay()) this.#close(why)
    }
    this.#isWatching = false
  }

  #close(why: string): void {
    const abandoning = this.#abandoning
    this.#why = why
    this.#abandoning = new AbortController()
    abandoning.abort()
    this.closed.ring()
  }
}
