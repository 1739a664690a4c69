import type { Chance } from '../world.ts'

export interface RetryPolicy {
  readonly minMs: number
  readonly maxMs: number
}

/**
 * The pause before the next attempt: exponential with full jitter, capped before it is drawn, so that a fleet that lost
 * its server at one moment does not come back at one. `attempt` counts from 1.
 */
export function pauseMs(attempt: number, { minMs, maxMs }: RetryPolicy, chance: Chance): number {
  const doublings = Math.min(attempt - 1, 52)
  const ceiling = Math.min(maxMs, minMs * 2 ** doublings)
  return chance.below(Math.floor(ceiling) + 1)
}
