/**
 * What a server sees when it comes back to a fleet: simulated time, and the agent's own pauses (agent/deliver/backoff.ts)
 * and sizes of requests (agent/deliver/request-size.ts).
 * `node scripts/fleet-return.ts [--agents N] [--seed N]` prints it; test/scenarios/fleet-returns.test.ts holds it.
 */
import { parseArgs } from 'node:util'
import { outagePauseMs, type RetryPolicy } from '../agent/deliver/backoff.ts'
import { RequestSize, type KnownLink } from '../agent/deliver/request-size.ts'
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
  /** How long one record is on the link; requests follow each other without a gap while records wait. */
  readonly recordMs: number
  readonly recordBytes: number
  /** How long a request is on the link; without it, as agent/deliver/request-size.ts says. */
  readonly requestMs?: number
  /** What an agent asks once there is a link again: capabilities, and which records the server has. */
  readonly questions: number
}

export interface Return {
  /** Of the busiest second. */
  readonly peak: number
  readonly mean: number
  /** Until everybody has been heard once. */
  readonly allBackMs: number
}

/** Defaults of agent.yaml on a link of 1 Mbit/s: a record of 5 s holds some 14 KB. */
export const flying: Fleet = {
  agents: 10_000,
  outageMs: 3_600_000,
  watchedMs: 600_000,
  retry: { minMs: 500, maxMs: 60_000 },
  recordEveryMs: 5000,
  recordMs: 112,
  recordBytes: 14_000,
  questions: 2,
}

/** Nothing new is written: each agent has one batch to deliver, and no more requests that would lift the mean. */
export const parked: Fleet = { ...flying, recordEveryMs: Infinity, questions: 0 }

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
  const { outageMs, retry, recordEveryMs, recordMs, watchedMs } = fleet
  const firstMs = chance.below(Math.min(recordEveryMs, 5000))
  const sealedBy = (ms: number): number => 1 + Math.floor((ms - firstMs) / recordEveryMs)
  let nowMs = firstMs
  for (let attempt = 1; nowMs < outageMs; attempt++)
    nowMs += outagePauseMs(attempt, nowMs - firstMs, retry, chance)
  for (let question = 0; question < fleet.questions; question++) yield nowMs - outageMs
  let delivered = 0
  const next = sizesOf(fleet)
  while (nowMs < outageMs + watchedMs) {
    const records = Math.min(next(), sealedBy(nowMs) - delivered)
    if (records > 0) yield nowMs - outageMs
    delivered += records
    nowMs = records > 0 ? nowMs + records * recordMs : firstMs + delivered * recordEveryMs
  }
}

/** How many records the next request may hold, by an agent that knew its link before the outage. */
function sizesOf({ requestMs, recordMs, recordBytes }: Fleet): () => number {
  if (requestMs !== undefined) return () => Math.ceil(requestMs / recordMs)
  const size = new RequestSize(4 << 20)
  const link: KnownLink = { rate: recordBytes / recordMs, isGrowing: false, pipeBytes: 0 }
  return () => {
    const records = Math.max(1, Math.floor(size.next(link, 1) / recordBytes))
    size.grow()
    return records
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
    options: {
      agents: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return console.log('node scripts/fleet-return.ts [--agents N] [--seed N]')
  const [agents, seed] = [Number(values.agents), Number(values.seed)]
  console.log(`${agents} agents, an outage of an hour, requests in the 10 minutes after it:`)
  const fast = { recordMs: 11 }
  const brief = { requestMs: 400 }
  print('flying: a record every 5 s, requests as they grow', { ...flying, agents }, seed)
  print('the same at 10 Mbit/s', { ...flying, ...fast, agents }, seed)
  print('flying, requests of 0.4 s', { ...flying, ...brief, agents }, seed)
  print('the same at 10 Mbit/s', { ...flying, ...brief, ...fast, agents }, seed)
  print('parked: one batch each', { ...parked, agents }, seed)
}

if (import.meta.main) main()
