/**
 * What a server sees when it comes back to a fleet: simulated time, and the agent's own pauses (agent/deliver/backoff.ts).
 * `node scripts/fleet-return.ts [--agents N] [--seed N]` prints it; test/scenarios/fleet-returns.test.ts holds it.
 */
import { parseArgs } from 'node:util'
import { pauseMs, type RetryPolicy } from '../agent/deliver/backoff.ts'
import type { Chance } from '../agent/world.ts'
import { mulberry32 } from '../test/kit/lossy-link-radio.ts'

export interface Fleet {
  readonly agents: number
  readonly outageMs: number
  /** After the return. */
  readonly watchedMs: number
  readonly retry: RetryPolicy
  /** Each agent seals a record so often, during the outage and after it; Infinity: a parked fleet, with one batch each. */
  readonly recordEveryMs: number
  /** One request takes a round trip, and so long for each of its records. */
  readonly roundTripMs: number
  readonly recordMs: number
  readonly recordsPerRequest: number
}

export interface Return {
  /** Of the busiest second. */
  readonly peak: number
  readonly mean: number
  /** Until everybody has been heard once. */
  readonly allBackMs: number
}

/** Defaults of agent.yaml on a link of 1 Mbit/s and 600 ms: a record of 5 s holds some 14 KB, a request at most 4 MiB. */
export const flying: Fleet = {
  agents: 10_000,
  outageMs: 3_600_000,
  watchedMs: 600_000,
  retry: { minMs: 500, maxMs: 60_000 },
  recordEveryMs: 5000,
  roundTripMs: 600,
  recordMs: 112,
  recordsPerRequest: 300,
}

/** Nothing new is written: each agent has one batch to deliver, and no more requests that would lift the mean. */
export const parked: Fleet = { ...flying, recordEveryMs: Infinity }

export function simulateReturn(fleet: Fleet, seed: number): Return {
  const random = mulberry32(seed)
  const chance: Chance = {
    below: (limit) => Math.floor(random() * limit),
    bytes: (count) => Buffer.alloc(count),
  }
  const perSecond = Array.from({ length: Math.ceil(fleet.watchedMs / 1000) }, () => 0)
  let allBackMs = 0
  for (let agent = 0; agent < fleet.agents; agent++) {
    const requests = [...requestsOf(fleet, chance)]
    allBackMs = Math.max(allBackMs, requests[0] ?? fleet.watchedMs)
    for (const atMs of requests) count(perSecond, atMs)
  }
  const sum = perSecond.reduce((total, requests) => total + requests, 0)
  return { peak: Math.max(...perSecond), mean: sum / perSecond.length, allBackMs }
}

function count(perSecond: number[], atMs: number): void {
  const second = Math.floor(atMs / 1000)
  perSecond[second] = (perSecond[second] ?? 0) + 1
}

/** When one agent is heard, in milliseconds after the server's return. It failed first with its first record. */
function* requestsOf(fleet: Fleet, chance: Chance): Generator<number> {
  const { outageMs, retry, recordEveryMs, roundTripMs, recordMs, recordsPerRequest, watchedMs } = fleet
  const firstMs = chance.below(Math.min(recordEveryMs, 5000))
  const sealedBy = (ms: number): number => 1 + Math.floor((ms - firstMs) / recordEveryMs)
  let nowMs = firstMs
  for (let attempt = 1; nowMs < outageMs; attempt++) nowMs += pauseMs(attempt, retry, chance)
  let delivered = 0
  while (nowMs < outageMs + watchedMs) {
    const records = Math.min(recordsPerRequest, sealedBy(nowMs) - delivered)
    if (records > 0) yield nowMs - outageMs
    delivered += records
    nowMs = records > 0 ? nowMs + roundTripMs + records * recordMs : firstMs + delivered * recordEveryMs
  }
}

function print(name: string, fleet: Fleet, seed: number): void {
  const { peak, mean, allBackMs } = simulateReturn(fleet, seed)
  console.log(
    `${name.padEnd(44)} busiest second ${String(peak).padStart(5)}, mean ${mean.toFixed(1).padStart(7)}, ` +
      `${(peak / mean).toFixed(2).padStart(5)} times it; all heard after ${(allBackMs / 1000).toFixed(0)} s`,
  )
}

function main(): void {
  const { values } = parseArgs({
    options: { agents: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
  })
  const [agents, seed] = [Number(values.agents), Number(values.seed)]
  console.log(`${agents} agents, an outage of an hour, requests in the 10 minutes after it:`)
  print('flying: a record every 5 s', { ...flying, agents }, seed)
  print('parked: one batch each, retry.max 60s', { ...parked, agents }, seed)
  print(
    'parked: one batch each, retry.max 15m',
    { ...parked, agents, retry: { minMs: 500, maxMs: 900_000 } },
    seed,
  )
}

if (import.meta.main) main()
