import { encodeHead, major, readHead } from './cbor-head.ts'
import { limits } from './contract.ts'
import { scanEnvelope, type Envelope } from './cose.ts'
import { equalBytes } from './ids.ts'

/** Tag 1282369378, "Logb", and an array of two: how every record starts, and how a damaged file is searched. */
export const recordOpening = Uint8Array.of(0xda, 0x4c, 0x6f, 0x67, 0x62, 0x82)
const nullByte = 0xf6

/** One record as it stands in a batch, a segment or a store, not yet verified. */
export interface RecordFrame {
  readonly envelope: Envelope
  /** null: withheld, or of a kind that has none. */
  readonly body: Uint8Array | null
  /** The whole record. */
  readonly bytes: Uint8Array
}

export type RecordScan =
  | { readonly is: 'whole'; readonly frame: RecordFrame; readonly end: number }
  /** The input ends within what may be a record; nothing more can be said before it holds `needed` bytes. */
  | { readonly is: 'cut'; readonly needed: number }
  | { readonly is: 'malformed' }
  | { readonly is: 'tooLarge' }

/**
 * Reads the record that starts at `start`, without copying and in the one encoding it can have. Never throws, never
 * reads past its end, and refuses by its heads what is over the limits, before its bytes are there.
 */
export function scanRecord(bytes: Uint8Array, start = 0): RecordScan {
  const opening = bytes.subarray(start, start + recordOpening.length)
  if (!equalBytes(opening, recordOpening.subarray(0, opening.length))) return { is: 'malformed' }
  const envelopeStart = start + recordOpening.length
  if (opening.length < recordOpening.length) return { is: 'cut', needed: envelopeStart }
  const scan = scanEnvelope(bytes, envelopeStart, limits.maxManifestBytes)
  if (scan.is !== 'whole') return scan
  const body = scanBody(bytes, scan.end)
  if (body.is !== 'whole') return body
  const frame = { envelope: scan.envelope, body: body.body, bytes: bytes.subarray(start, body.end) }
  return { is: 'whole', frame, end: body.end }
}

type BodyScan =
  | { readonly is: 'whole'; readonly body: Uint8Array | null; readonly end: number }
  | Exclude<RecordScan, { is: 'whole' }>

function scanBody(bytes: Uint8Array, start: number): BodyScan {
  if (bytes[start] === nullByte) return { is: 'whole', body: null, end: start + 1 }
  const head = readHead(bytes, start)
  if (head.is !== 'whole') return head
  if (head.major !== major.bytes) return { is: 'malformed' }
  if (head.value > limits.maxChunkBytes) return { is: 'tooLarge' }
  const end = head.end + head.value
  if (end > bytes.length) return { is: 'cut', needed: end }
  return { is: 'whole', body: bytes.subarray(head.end, end), end }
}

/** The record of an encoded envelope and its body. */
export function encodeRecord(envelope: Uint8Array, body: Uint8Array | null): Uint8Array {
  const end = body ? [encodeHead(major.bytes, body.length), body] : [Uint8Array.of(nullByte)]
  return Buffer.concat([recordOpening, envelope, ...end])
}

/** Why a batch could not be read to its end. */
export class BatchError extends Error {
  readonly reason: 'malformed' | 'tooLarge' | 'cut'

  constructor(reason: BatchError['reason']) {
    super(`the batch is ${reason}`)
    this.reason = reason
  }
}

/**
 * The records of a batch (a CBOR Sequence, RFC 8742) as they arrive. Holds one record and one piece of input at a time.
 * Each frame is valid until the next is asked for. Throws a BatchError where the input is no batch, after every whole
 * record before that place was given.
 */
export async function* readRecords(
  source: AsyncIterable<Uint8Array>,
  maxBatchBytes: number = limits.maxBatchBytes,
): AsyncGenerator<RecordFrame, void, undefined> {
  const input = new UncutInput()
  let total = 0
  for await (const piece of source) {
    yield* input.cut(piece.subarray(0, maxBatchBytes - total))
    total += piece.length
    if (total > maxBatchBytes) throw new BatchError('tooLarge')
  }
  if (!input.isEmpty) throw new BatchError('cut')
}

/** What arrived and is not cut into records yet. Pieces are joined only where more can be said than before. */
class UncutInput {
  #pieces: Uint8Array[] = []
  #length = 0
  /** How long the input must be before more can be said about it. */
  #needed = 1

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** Every record that is whole now that `piece` is here. */
  *cut(piece: Uint8Array): Generator<RecordFrame, void, undefined> {
    this.#pieces.push(piece)
    this.#length += piece.length
    if (this.#length < this.#needed) return
    const bytes = Buffer.concat(this.#pieces)
    let start = 0
    let scan = scanRecord(bytes)
    while (scan.is === 'whole') {
      yield scan.frame
      start = scan.end
      scan = scanRecord(bytes, start)
    }
    if (scan.is !== 'cut') throw new BatchError(scan.is)
    this.#keep(bytes.subarray(start), scan.needed - start)
  }

  #keep(rest: Uint8Array, needed: number): void {
    this.#pieces = [rest]
    this.#length = rest.length
    this.#needed = needed
  }
}
