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

/** Of an outage, what a pause may add to it. */
const outageShare = 0.1

/**
 * The pause while there is no link: as above, and at most a tenth of the outage so far. It grows with the outage all the
 * same, and a tunnel of ten seconds is not followed by a pause of eight.
 */
export function outagePauseMs(
  attempt: number,
  outageMs: number,
  policy: RetryPolicy,
  chance: Chance,
): number {
  const maxMs = Math.min(policy.maxMs, Math.max(policy.minMs, outageMs * outageShare))
  return pauseMs(attempt, { ...policy, maxMs }, chance)
}
