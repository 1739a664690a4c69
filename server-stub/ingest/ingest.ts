import { limits } from '../../protocol/contract.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { signReceipt, type Receipt, type ReceiptEntry } from '../../protocol/receipt.ts'
import { BatchError, readRecords, type RecordFrame } from '../../protocol/record.ts'
import type { RefusalCode } from '../../protocol/refusal.ts'
import { digestOf, verifyRecord } from '../../protocol/verify.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { ProblemCode } from '../faults.ts'
import { Intake } from './intake.ts'
import type { Visit } from './running.ts'
import { senderOf, type Sender, type TurnedAway } from './sender.ts'
import type { Settler, SettlerParts } from './settle.ts'

export interface IngestParts extends SettlerParts {
  readonly signer: Signer
  readonly settler: Settler
}

export type Answer =
  | { readonly is: 'receipt'; readonly receipt: Receipt; readonly bytes: Uint8Array }
  | { readonly is: 'problem'; readonly code: ProblemCode }

/**
 * Takes a batch in while it arrives: each record is verified and written before the next is looked at, so that one is
 * in memory at a time. Whatever ends the batch early, the whole records before that are kept. The receipt is signed
 * when all that it says is on the disk.
 */
export async function ingest(
  body: AsyncIterable<Uint8Array>,
  parts: IngestParts,
  visit: Visit,
): Promise<Answer> {
  await using batch = new Batch(parts, visit)
  const code = await takeIn(body, batch)
  await batch.settle()
  return code === undefined ? batch.receipt() : { is: 'problem', code }
}

async function takeIn(body: AsyncIterable<Uint8Array>, batch: Batch): Promise<ProblemCode | undefined> {
  try {
    for await (const frame of readRecords(body)) {
      const problem = await batch.take(frame)
      if (problem) return problem
    }
    return batch.whyNoReceipt
  } catch (error) {
    if (error instanceof BatchError) return problemOf[error.reason]
    throw error
  }
}

const problemOf = {
  malformed: 'BATCH_MALFORMED',
  tooLarge: 'BATCH_TOO_LARGE',
  cut: 'BATCH_CUT',
} as const satisfies Record<BatchError['reason'], ProblemCode>

/** One batch: who sends it, what stays of it, and what its receipt will say. */
class Batch implements AsyncDisposable {
  readonly #parts: IngestParts
  readonly #visit: Visit
  readonly #entries: ReceiptEntry[] = []
  #sender: Sender | undefined
  /** Why the first record that named a sender was not of one that may send. */
  #turnedAway: TurnedAway | undefined
  #intake: Intake | undefined

  constructor(parts: IngestParts, visit: Visit) {
    this.#parts = parts
    this.#visit = visit
  }

  async take(frame: RecordFrame): Promise<ProblemCode | undefined> {
    if (this.#entries.length === limits.maxBatchRecords) return 'BATCH_TOO_MANY'
    if (this.#sender) return this.#takeFrom(this.#sender, frame)
    const verdict = await senderOf(frame, this.#parts.catalog)
    if (verdict.is === 'turnedAway') this.#turnedAway ??= verdict.refusal
    if (verdict.is !== 'known') return this.#note(frame, verdict.refusal)
    this.#sender = verdict.sender
    this.#tellRefusals()
    return this.#takeFrom(verdict.sender, frame)
  }

  /** Nothing of the disk is used before a record proved that its device signed it. */
  async #takeFrom(sender: Sender, frame: RecordFrame): Promise<ProblemCode | undefined> {
    const verdict = verifyRecord(frame, sender.keys)
    if (!verdict.ok) return this.#refuse(frame, verdict.refusal)
    const { manifest, digest } = verdict.value
    if (!this.#intake && !this.#visit.takeSlot()) return 'SERVER_BUSY'
    this.#intake ??= new Intake(sender, this.#parts)
    const { outcome } = await this.#intake.take(verdict.value, this.#entries.length)
    this.#entries.push({ place: { epoch: manifest.epoch, seq: manifest.seq }, digest, outcome })
    return undefined
  }

  #refuse(frame: RecordFrame, refusal: RefusalCode): undefined {
    this.#note(frame, refusal)
    this.#tellRefusals(this.#entries.length - 1)
  }

  /** Only a batch that has a sender is worth a line of the journal for each record. */
  #tellRefusals(from = 0): void {
    for (const entry of this.#entries.slice(from)) {
      if (entry.outcome !== 'refused') continue
      this.#parts.journal.refused(this.#sender?.device, entry.place, entry.refusal)
    }
  }

  #note(frame: RecordFrame, refusal: RefusalCode): undefined {
    const manifest = decodeManifest(frame.envelope.payload)
    const place = manifest.ok ? { epoch: manifest.value.epoch, seq: manifest.value.seq } : null
    this.#entries.push({ place, digest: digestOf(frame), outcome: 'refused', refusal })
  }

  async settle(): Promise<void> {
    if (!this.#intake) return
    for (const { arrival, judgement } of await this.#parts.settler.settle(this.#intake)) {
      const { epoch, seq, digest } = arrival.facts
      const { outcome } = judgement
      this.#entries[arrival.index] = { place: { epoch, seq }, digest, outcome }
    }
  }

  get whyNoReceipt(): ProblemCode | undefined {
    if (this.#entries.length === 0) return 'BATCH_EMPTY'
    return this.#sender ? undefined : (this.#turnedAway ?? 'DEVICE_UNNAMED')
  }

  receipt(): Answer {
    if (!this.#sender) return { is: 'problem', code: 'DEVICE_UNNAMED' }
    const { device } = this.#sender
    const receipt = { device, timeMs: this.#parts.clock.now(), entries: this.#entries }
    return { is: 'receipt', receipt, bytes: signReceipt(receipt, this.#parts.signer) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#intake?.[Symbol.asyncDispose]()
  }
}
