import type { Clock } from '../clock.ts'
import type { Doorbell } from '../doorbell.ts'
import { firstOf } from './first-of.ts'

/** What each of these has rung so far. */
export const ringsOf = (bells: readonly Doorbell[]): number[] => bells.map(({ rings }) => rings)

/** Resolves when one of these has rung more than was seen of it, or when the signal fires. */
export function anyRing(
  bells: readonly Doorbell[],
  seen: readonly number[],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const waits = bells.map((bell, index) => (over: AbortSignal) => {
    return bell.waitBeyond(seen[index] ?? 0, Infinity, clock, over)
  })
  return firstOf(waits, signal)
}
