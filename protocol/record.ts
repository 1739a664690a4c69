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
  /**
   * The input ends within what may be a record; nothing more can be said before it holds `needed` bytes, but what its
   * envelope says, where that is whole.
   */
  | { readonly is: 'cut'; readonly needed: number; readonly envelope?: Envelope }
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
  if (body.is === 'cut') return { ...body, envelope: scan.envelope }
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

/** Looks on while records arrive. What it throws ends the reading. */
export interface Watch {
  /** After each piece of the input: how many bytes of a record that is not whole are held. */
  holding(bytes: number): void
  /** Once for each record whose body is still arriving: nothing more is read before this resolves. */
  foresee(envelope: Envelope): Promise<void>
}

const nobody: Watch = { holding: () => undefined, foresee: async () => undefined }

/**
 * The records of a batch (a CBOR Sequence, RFC 8742) as they arrive. Holds one record and one piece of input at a time.
 * Each frame is valid until the next is asked for. Throws a BatchError where the input is no batch, after every whole
 * record before that place was given.
 */
export async function* readRecords(
  source: AsyncIterable<Uint8Array>,
  maxBatchBytes: number = limits.maxBatchBytes,
  watch: Watch = nobody,
): AsyncGenerator<RecordFrame, void, undefined> {
  const input = new UncutInput()
  let total = 0
  for await (const piece of source) {
    yield* input.cut(piece.subarray(0, maxBatchBytes - total))
    total += piece.length
    if (total > maxBatchBytes) throw new BatchError('tooLarge')
    watch.holding(input.heldBytes)
    const envelope = input.takeEnvelope()
    if (envelope) await watch.foresee(envelope)
  }
  if (!input.isEmpty) throw new BatchError('cut')
}

/**
 * The start of a record that is not whole yet. It is copied, up to where more can be said about it, so that what is held
 * is never much more than what arrived, in however small pieces; a record that is whole in one piece is not copied.
 */
class UncutInput {
  #held: Uint8Array = new Uint8Array(0)
  #length = 0
  /** How long the held input must be before more can be said about it. */
  #needed = 0
  /** Of the record that is not whole, until it is taken. */
  #envelope: Envelope | undefined

  get isEmpty(): boolean {
    return this.#length === 0
  }

  get heldBytes(): number {
    return this.#held.length
  }

  takeEnvelope(): Envelope | undefined {
    const envelope = this.#envelope
    this.#envelope = undefined
    return envelope
  }

  /** Every record that is whole now that `piece` is here. */
  *cut(piece: Uint8Array): Generator<RecordFrame, void, undefined> {
    let rest = piece
    while (rest.length > 0) {
      const isHeld = !this.isEmpty
      if (isHeld) rest = this.#fill(rest)
      if (this.#length < this.#needed) return
      const scan = scanRecord(isHeld ? this.#held.subarray(0, this.#length) : rest)
      if (scan.is === 'whole') {
        if (isHeld) this.#drop()
        else rest = rest.subarray(scan.end)
        yield scan.frame
        continue
      }
      if (scan.is !== 'cut') throw new BatchError(scan.is)
      this.#needed = scan.needed
      this.#envelope = scan.envelope
      if (!isHeld) rest = this.#fill(rest)
    }
  }

  /** Holds what is needed of `piece`, and returns the rest. */
  #fill(piece: Uint8Array): Uint8Array {
    const taken = piece.subarray(0, this.#needed - this.#length)
    const length = this.#length + taken.length
    if (length > this.#held.length) this.#grow(length)
    this.#held.set(taken, this.#length)
    this.#length = length
    return piece.subarray(taken.length)
  }

  /** To twice the size, for a copy of each byte or two, but never beyond what the heads of the record ask for. */
  #grow(length: number): void {
    const grown = Buffer.allocUnsafe(Math.min(this.#needed, Math.max(length, 2 * this.#held.length)))
    grown.set(this.#held.subarray(0, this.#length))
    this.#held = grown
  }

  #drop(): void {
    this.#held = new Uint8Array(0)
    this.#length = 0
    this.#needed = 0
    this.#envelope = undefined
  }
}
