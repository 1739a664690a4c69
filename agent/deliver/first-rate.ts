import type { Upload } from './upload.ts'

/**
 * The rate of the first round, in which there was no receipt yet to count from. A round trip would count as time of sending:
 * it is taken off as far as it is known. What comes closely behind the first receipt tells the rate, too, but receipts may also
 * come together by chance.
 */
export class FirstRate {
  /** The first receipt of all, and the bytes that it was for. */
  #first: Readonly<Record<'bytes' | 'ms' | 'leftMs' | 'beganMs', number>> | undefined

  /** Bytes a millisecond; 0 where this receipt tells none. `deliveredBytes` with those that it is for. */
  note(upload: Upload, deliveredBytes: number, exchangeMs: number, nowMs: number): number {
    if (upload.deliveredBytes > 0) return 0
    const isFirst = this.#first === undefined
    const known = { bytes: deliveredBytes, ms: nowMs, leftMs: upload.leftMs }
    const { bytes, ms, leftMs, beganMs } = (this.#first ??= { ...known, beganMs: upload.deliveredMs })
    const takenMs = nowMs - beganMs
    const most = deliveredBytes / Math.max(1, takenMs / firstRateTimes, takenMs - exchangeMs)
    const sinceMs = Math.max(nowMs - ms, upload.leftMs - leftMs, 1)
    if (isFirst) return exchangeMs > 0 ? most : 0
    return Math.min(most, (deliveredBytes - bytes) / sinceMs)
  }
}

/** How much better the first receipts may make the link look than all that was sent over all the time. */
const firstRateTimes = 2
