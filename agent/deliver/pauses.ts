import type { LinkReport } from '../control/report.ts'
import { anyRing, Doorbell, ringsOf } from '../doorbell.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { outagePauseMs, pauseMs, type RetryPolicy } from './backoff.ts'
import { firstOf } from './first-of.ts'
import { Undelivered } from './undelivered.ts'

const longestRetryAfterMs = 10 * 60_000

interface Waiting {
  readonly why: string
  readonly course: Undelivered['course']
  readonly untilMs: number
}

interface PauseParts {
  readonly world: World
  readonly retry: RetryPolicy
  /** Rings when a receipt has let something go. */
  readonly receipted: Doorbell
  /** Rung when a pause begins, for those who wait for the queue to become empty. */
  readonly changed: Doorbell
}

/** The pauses after failures: how long each is, and what ends it early. */
export class Pauses {
  /** Ends a pause: there may be a link now. */
  readonly hurry = new Doorbell()
  readonly #parts: PauseParts
  #waiting: Waiting | undefined
  #failures = 0
  #succeededMs: number

  constructor(parts: PauseParts) {
    this.#parts = parts
    this.#succeededMs = parts.world.clock.monotonicMs()
  }

  /** Since the last success. */
  get failures(): number {
    return this.#failures
  }

  /** While a pause lasts. */
  get report(): LinkReport | undefined {
    if (!this.#waiting) return undefined
    const { why, course, untilMs } = this.#waiting
    const retryInMs = Math.max(0, Math.round(untilMs - this.#parts.world.clock.monotonicMs()))
    return { is: 'waiting', why, because: course, attempts: this.#failures, retryInMs }
  }

  /** A receipt came. True where that ends a row of failures. */
  succeeded(): boolean {
    const { clock, journal } = this.#parts.world
    this.#succeededMs = clock.monotonicMs()
    if (this.#failures === 0) return false
    journal.deliveryRecovered(this.#failures)
    this.#failures = 0
    return true
  }

  /** Pauses after a failure: until its time is up, something ends it early, or the signal fires. */
  async pause(error: Error, signal: AbortSignal): Promise<void> {
    const { receipted, changed, world } = this.#parts
    const { clock, journal, surroundings } = world
    this.#failures++
    // What failed was another request's, where a receipt comes: there is a server, and it takes what it is sent.
    const bells = [this.hurry, receipted]
    const seen = ringsOf(bells)
    const failed = error instanceof Undelivered ? error : new Undelivered(sayCause(error))
    const ms = this.#lengthMs(failed)
    const { message: why, course } = failed
    this.#waiting = { why, course, untilMs: clock.monotonicMs() + ms }
    journal.deliveryFailed(why, this.#failures, ms)
    changed.ring()
    const woken = (over: AbortSignal): Promise<void> => anyRing(bells, seen, ms, clock, over)
    await firstOf([woken, (over) => surroundings.changed(over)], signal)
  }

  /** Delivery goes on. */
  end(): void {
    this.#waiting = undefined
  }

  #lengthMs({ retryAfterMs, course, isCut }: Undelivered): number {
    const { retry, world } = this.#parts
    // Nobody signed a Retry-After: it may make the drone wait for a while, and not for days.
    const askedMs = Math.min(retryAfterMs, longestRetryAfterMs)
    const slowMs = course === 'person' ? Math.floor(retry.maxMs / 2) : 0
    const outageMs = world.clock.monotonicMs() - this.#succeededMs
    const drawnMs = isCut
      ? outagePauseMs(this.#failures, outageMs, retry, world.chance)
      : pauseMs(this.#failures, retry, world.chance)
    return Math.max(askedMs, slowMs, drawnMs)
  }
}
