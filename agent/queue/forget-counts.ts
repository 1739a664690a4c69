import type { StreamId } from '../../protocol/ids.ts'
import { bodilessKey, keys, lostKey, receiptedKey } from './index-entry.ts'
import { del, put, type IndexWrite } from './index-store.ts'
import type { Ledger } from './ledger.ts'

/** Ends the counts of streams that nothing follows and nothing waits for; `lostBytes` of them stay in the one of all that ended. */
export function forgetCounts(
  streams: readonly StreamId[],
  lostBytes: number,
  { lostOfEndedBytes }: Ledger,
): IndexWrite[] {
  const writes = streams.flatMap((stream) =>
    [receiptedKey, lostKey, bodilessKey].map((key) => del(key(stream))),
  )
  return lostBytes === 0 ? writes : [...writes, put(keys.lostOfEnded, String(lostOfEndedBytes + lostBytes))]
}
