import type { Clock } from './clock.ts'

/**
 * Wakes whoever waits for a change. A waiter reads `rings` before it looks at the thing that may change and waits beyond
 * that count, so a ring in between is not missed.
 */
export class Doorbell {
  #rings = 0
  readonly #waiting = new Set<(by?: unknown) => void>()

  get rings(): number {
    return this.#rings
  }

  ring(): void {
    this.#rings++
    for (const wake of this.#waiting) wake()
  }

  /** Resolves when it has rung more than `seen` times, after `maxMs`, or when the signal fires. */
  waitBeyond(seen: number, maxMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
    return anyRing([this], [seen], maxMs, clock, signal)
  }

  /** Calls `wake` at each ring. */
  attach(wake: (by?: unknown) => void): void {
    this.#waiting.add(wake)
  }

  detach(wake: (by?: unknown) => void): void {
    this.#waiting.delete(wake)
  }
}

/** What ends a pause early. Said in so many words, because to abort without a reason makes an error with its stack. */
const woken = 'woken'

/** What each of these has rung so far. */
export const ringsOf = (bells: readonly Doorbell[]): number[] => bells.map(({ rings }) => rings)

/** Resolves when one of these has rung more than was seen of it, after `maxMs`, or when the signal fires. */
export async function anyRing(
  bells: readonly Doorbell[],
  seen: readonly number[],
  maxMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted || bells.some(({ rings }, index) => rings > (seen[index] ?? 0))) return
  const { promise, resolve: wake } = Promise.withResolvers<unknown>()
  const timer = maxMs === Infinity ? undefined : new AbortController()
  for (const bell of bells) bell.attach(wake)
  signal.addEventListener('abort', wake)
  if (timer) void clock.sleep(maxMs, timer.signal).then(wake)
  await promise
  for (const bell of bells) bell.detach(wake)
  signal.removeEventListener('abort', wake)
  timer?.abort(woken)
}
