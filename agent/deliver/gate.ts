import type { Clock } from '../clock.ts'
import { firstOf } from './first-of.ts'

/** Something that may hold delivery back. */
export interface GateKeeper extends AsyncDisposable {
  /** How often it is looked at while there is something to deliver. */
  readonly everyMs: number
  /** Why nothing may be sent; undefined when it may. */
  closedBy(signal: AbortSignal): Promise<string | undefined>
}

/** A look that takes longer than this goes on behind its caller, where the last answer is not too old. */
const graceMs = 100
/** How many times as old as it is wanted an answer may be while the next is on its way. */
const oldest = 2

/**
 * Open when all of its keepers say so. They are asked side by side, so that none has to wait for a slow one. Nobody looks
 * while nothing waits.
 */
export class Gate implements GateKeeper {
  readonly #keepers: readonly GateKeeper[]
  readonly #clock: Clock
  readonly #answers = new Map<GateKeeper, { readonly atMs: number; readonly why: string | undefined }>()
  readonly #looks = new Map<GateKeeper, Promise<void>>()
  /** Ends the looks: they are nobody's who asks, and so no asker's end makes an answer. */
  readonly #ending = new AbortController()

  constructor(keepers: readonly GateKeeper[], clock: Clock) {
    this.#keepers = keepers
    this.#clock = clock
  }

  get everyMs(): number {
    return Math.min(...this.#keepers.map(({ everyMs }) => everyMs))
  }

  /** By the first that says so. It says nothing when the signal fires. */
  closedBy(signal: AbortSignal): Promise<string | undefined> {
    return firstReason(this.#keepers.map((keeper) => this.#ask(keeper, signal)))
  }

  /** Not more often than it wants to be asked. */
  async #ask(keeper: GateKeeper, signal: AbortSignal): Promise<string | undefined> {
    const age = this.#age(keeper)
    // A timer may be a little early.
    if (age >= 0.9) await this.#waitFor(this.#look(keeper), age < oldest ? graceMs : Infinity, signal)
    return signal.aborted ? undefined : this.#answers.get(keeper)?.why
  }

  /** How many times as old its last answer is as it wants to be asked. */
  #age(keeper: GateKeeper): number {
    const known = this.#answers.get(keeper)
    return known ? (this.#clock.monotonicMs() - known.atMs) / keeper.everyMs : Infinity
  }

  /** There is one of each keeper at a time. */
  #look(keeper: GateKeeper): Promise<void> {
    const look = this.#looks.get(keeper) ?? this.#lookNow(keeper)
    this.#looks.set(keeper, look)
    return look
  }

  async #lookNow(keeper: GateKeeper): Promise<void> {
    try {
      const why = await keeper.closedBy(this.#ending.signal)
      this.#answers.set(keeper, { atMs: this.#clock.monotonicMs(), why })
    } finally {
      this.#looks.delete(keeper)
    }
  }

  #waitFor(look: Promise<void>, maxMs: number, signal: AbortSignal): Promise<void> {
    return firstOf([() => look, (over) => this.#clock.sleep(maxMs, over)], signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await Promise.all(this.#looks.values())
    for (const keeper of this.#keepers) await keeper[Symbol.asyncDispose]()
  }
}

/** The first that is one, or none when all have answered. */
async function firstReason(answers: readonly Promise<string | undefined>[]): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const all = answers.map(async (answer) => {
    const why = await answer
    if (why !== undefined) resolve(why)
  })
  return Promise.race([promise, Promise.all(all).then(() => undefined)])
}
