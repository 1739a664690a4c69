import type { ChainHead } from '../../protocol/chain.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { RecordTime } from '../../protocol/manifest.ts'
import type { Clock } from '../clock.ts'
import { sealArrival, type Arrival } from './arrival.ts'
import type { SealedArrival } from './stored-arrivals.ts'

/** Seals what arrived together at the end of the chain, in its order and with one time. */
export async function sealGroup(
  arrivals: readonly Arrival[],
  before: ChainHead,
  signer: Signer,
  clock: Clock,
): Promise<SealedArrival[]> {
  const time = await timeLabel(clock)
  let head = before
  return arrivals.map((arrival) => {
    const record = sealArrival(arrival, head, time, signer)
    head = record.head
    return { arrival, record }
  })
}

async function timeLabel(clock: Clock): Promise<RecordTime> {
  const clockState = await clock.wallState()
  const monotonicMs = Math.floor(clock.monotonicMs())
  return { wallMs: clock.wallMs(), monotonicMs, bootId: clock.bootId, clockState }
}
