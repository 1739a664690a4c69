import type { StreamId } from '../../protocol/ids.ts'
import { bodilessKey, lostKey, receiptedKey } from './index-entry.ts'
import { del, type IndexWrite } from './index-store.ts'

/** Ends the counts of a stream that nothing follows and nothing waits for. */
export function forgetCounts(stream: StreamId): IndexWrite[] {
  return [receiptedKey, lostKey, bodilessKey].map((key) => del(key(stream)))
}
