import type { StreamId } from '../../protocol/ids.ts'

/** What the queue holds and has handed over, in bytes and records: `status` and `flush` are counted from it. */
export class Ledger {
  readonly #queued = new Map<StreamId, number>()
  readonly #receipted = new Map<StreamId, number>()
  readonly #lost = new Map<StreamId, number>()
  #records = 0
  #bytes = 0

  /** Records that wait for a receipt. */
  get records(): number {
    return this.#records
  }

  /** Their size in the segments. */
  get bytes(): number {
    return this.#bytes
  }

  /** Of the log's bytes in the queue. */
  queuedBytes(stream: StreamId): number {
    return this.#queued.get(stream) ?? 0
  }

  /** Of the log's bytes that the server has signed for. */
  receiptedBytes(stream: StreamId): number {
    return this.#receipted.get(stream) ?? 0
  }

  /** Of the log's bytes that loss records name. */
  lostBytes(stream: StreamId): number {
    return this.#lost.get(stream) ?? 0
  }

  /** The streams that have bytes in the queue. */
  get queuedStreams(): StreamId[] {
    return [...this.#queued.keys()]
  }

  queued(stream: StreamId, length: number, recordBytes: number): void {
    this.#queued.set(stream, this.queuedBytes(stream) + length)
    this.#records++
    this.#bytes += recordBytes
  }

  receipted(stream: StreamId, length: number, recordBytes: number): void {
    const queued = this.queuedBytes(stream) - length
    if (queued > 0) this.#queued.set(stream, queued)
    else this.#queued.delete(stream)
    this.setReceipted(stream, this.receiptedBytes(stream) + length)
    this.#records--
    this.#bytes -= recordBytes
  }

  setReceipted(stream: StreamId, bytes: number): void {
    this.#receipted.set(stream, bytes)
  }

  setLost(stream: StreamId, bytes: number): void {
    this.#lost.set(stream, bytes)
  }

  /** Ends the count of a stream that nothing follows and nothing waits for. */
  forgetStream(stream: StreamId): void {
    if (this.#queued.has(stream)) return
    this.#receipted.delete(stream)
    this.#lost.delete(stream)
  }
}
