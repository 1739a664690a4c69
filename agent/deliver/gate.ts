import type { Clock } from '../clock.ts'

/** Something that may hold delivery back. */
export interface GateKeeper extends AsyncDisposable {
  /** How often it is looked at while there is something to deliver. */
  readonly everyMs: number
  /** Why nothing may be sent; undefined when it may. */
  closedBy(signal: AbortSignal): Promise<string | undefined>
}

/** Open when all of its keepers say so. Nobody looks while nothing waits. */
export class Gate implements GateKeeper {
  readonly #keepers: readonly GateKeeper[]
  readonly #clock: Clock
  readonly #looks = new Map<GateKeeper, { readonly atMs: number; readonly why: string | undefined }>()

  constructor(keepers: readonly GateKeeper[], clock: Clock) {
    this.#keepers = keepers
    this.#clock = clock
  }

  get everyMs(): number {
    return Math.min(...this.#keepers.map(({ everyMs }) => everyMs))
  }

  async closedBy(signal: AbortSignal): Promise<string | undefined> {
    for (const keeper of this.#keepers) {
      const why = await this.#ask(keeper, signal)
      if (why !== undefined) return why
    }
    return undefined
  }

  /** Not more often than it wants to be asked. */
  async #ask(keeper: GateKeeper, signal: AbortSignal): Promise<string | undefined> {
    const known = this.#looks.get(keeper)
    const nowMs = this.#clock.monotonicMs()
    // A timer may be a little early.
    if (known && nowMs - known.atMs < keeper.everyMs * 0.9) return known.why
    const why = await keeper.closedBy(signal)
    this.#looks.set(keeper, { atMs: nowMs, why })
    return why
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const keeper of this.#keepers) await keeper[Symbol.asyncDispose]()
  }
}
