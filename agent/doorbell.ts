import type { Clock } from './clock.ts'

/**
 * Wakes whoever waits for a change. A waiter reads `rings` before it looks at the thing that may change and waits beyond
 * that count, so a ring in between is not missed.
 */
export class Doorbell {
  #rings = 0
  readonly #waiting = new Set<() => void>()

  get rings(): number {
    return this.#rings
  }

  ring(): void {
    this.#rings++
    for (const wake of this.#waiting) wake()
  }

  /** Resolves when it has rung more than `seen` times, after `maxMs`, or when the signal fires. */
  async waitBeyond(seen: number, maxMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
    if (this.#rings > seen || signal.aborted) return
    const waking = new AbortController()
    // With a reason: without one each makes an Error, and its stack.
    const wake = (): void => waking.abort('rung')
    this.#waiting.add(wake)
    signal.addEventListener('abort', wake)
    await clock.sleep(maxMs, waking.signal)
    signal.removeEventListener('abort', wake)
    this.#waiting.delete(wake)
  }
}
