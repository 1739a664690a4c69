import { LinkModel } from '../../agent/deliver/link-model.ts'
import { RequestSize } from '../../agent/deliver/request-size.ts'
import type { Upload } from '../../agent/deliver/upload.ts'

export interface Air {
  /** Bytes a millisecond. */
  readonly rate: number
  readonly roundTripMs: number
  /** Now and then nothing is sent for so long: the machine is busy. */
  readonly hiccupMs?: number
}

interface Sending {
  readonly upload: Upload
  restBytes: number
  /** Of its bytes, those that stand before the narrow place. */
  queuedBytes: number
  dueMs: number | undefined
}

/** A link in steps of a millisecond: a narrow place with an endless buffer, and then half a round trip each way. */
export class SimulatedLink {
  readonly model = new LinkModel()
  readonly size = new RequestSize(4 << 20)
  air: Air
  receiptedBytes = 0
  mostBacklogBytes = 0
  nowMs = 0
  #carryBytes = 0
  readonly #sendings: Sending[] = []

  /** A request is no smaller than one record. */
  readonly #recordBytes: number

  constructor(air: Air, recordBytes = 1) {
    this.air = air
    this.#recordBytes = recordBytes
  }

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs++) this.#step()
  }

  /** What is under way is lost, and nothing moves for so long. */
  cut(ms: number): void {
    for (const { upload } of this.#sendings.splice(0)) this.model.abandoned(upload, this.nowMs)
    this.size.shrink(64 << 10)
    this.nowMs += ms
  }

  #step(): void {
    this.#deliver()
    this.#drain()
    this.#send()
    const backlog = this.#sendings.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0)
    this.mostBacklogBytes = Math.max(this.mostBacklogBytes, backlog)
  }

  #deliver(): void {
    while ((this.#sendings[0]?.dueMs ?? Infinity) <= this.nowMs) {
      const done = this.#sendings.shift()
      if (!done) return
      this.model.receipted(done.upload, this.nowMs)
      this.size.grow()
      this.receiptedBytes += done.upload.bytes
    }
  }

  #drain(): void {
    this.#carryBytes = Math.min(this.#carryBytes, this.air.rate) + this.air.rate
    for (const sending of this.#sendings) {
      const bytes = Math.min(sending.queuedBytes, this.#carryBytes)
      sending.queuedBytes -= bytes
      this.#carryBytes -= bytes
      const isThrough = sending.restBytes === 0 && sending.queuedBytes === 0
      if (isThrough) sending.dueMs ??= this.nowMs + this.air.roundTripMs
    }
  }

  #send(): void {
    if (this.nowMs % 2000 < (this.air.hiccupMs ?? 0)) return
    const last = this.#sendings.at(-1)
    const awaited = this.#sendings.filter(({ restBytes }) => restBytes === 0)
    const awaitedBytes = awaited.reduce((sum, { upload }) => sum + upload.bytes, 0)
    const bytes = Math.max(this.#recordBytes, this.size.next(this.model, this.#sendings.length))
    const mayBegin =
      this.#sendings.length === 0 ||
      (this.model.rate === undefined && this.#sendings.length < 3) ||
      (this.model.rate !== undefined && awaitedBytes <= 2 * this.model.pipeBytes + bytes)
    if ((last?.restBytes ?? 0) === 0 && mayBegin && this.#sendings.length < 6) {
      const upload = this.model.begin(bytes, this.nowMs)
      this.#sendings.push({ upload, restBytes: bytes, queuedBytes: 0, dueMs: undefined })
    }
    const open = this.#sendings.find(({ restBytes }) => restBytes > 0)
    if (open) this.#sendFrom(open)
  }

  #sendFrom(sending: Sending): void {
    while (sending.restBytes > 0 && this.model.waitMs(this.nowMs) === 0 && !this.model.isFull) {
      const piece = Math.min(sending.restBytes, 4096)
      this.model.left(sending.upload, piece, this.nowMs)
      sending.restBytes -= piece
      sending.queuedBytes += piece
    }
  }
}
