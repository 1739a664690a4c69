import { limits } from '../../protocol/contract.ts'
import { verifyEnvelope, type Envelope } from '../../protocol/cose.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { equalBytes, sha256 } from '../../protocol/ids.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import type { RecordName } from '../../protocol/query.ts'
import { signReceipt, type Receipt, type ReceiptEntry } from '../../protocol/receipt.ts'
import type { RecordFrame, Watch } from '../../protocol/record.ts'
import type { RefusalCode } from '../../protocol/refusal.ts'
import { digestOf, verifyRecord } from '../../protocol/verify.ts'
import type { ProblemCode } from '../faults.ts'
import { Inflow, type Fate, type InflowParts } from './inflow.ts'
import type { Visit } from './running.ts'
import { senderOf, type Sender, type TurnedAway } from './sender.ts'

export interface IngestParts extends InflowParts {
  readonly signer: Signer
}

export type Answer =
  | { readonly is: 'receipt'; readonly receipt: Receipt; readonly bytes: Uint8Array }
  | { readonly is: 'problem'; readonly code: ProblemCode }

/** Why no more of a batch is read. */
export class BatchProblem extends Error {
  readonly code: ProblemCode

  constructor(code: ProblemCode) {
    super(code)
    this.code = code
  }
}

/** What is said of a record whose signature is right, and whose body is the one that was signed: its device made it so. */
const ownRefusals: ReadonlySet<RefusalCode> = new Set([
  'BODY_UNDECODABLE',
  'CONTENT_LENGTH_WRONG',
  'CONTENT_HASH_WRONG',
])

/** One batch: who sends it, what stays of it, and what its receipt will say. */
export class Batch implements Watch, AsyncDisposable {
  readonly #parts: IngestParts
  readonly #visit: Visit
  readonly #entries: ReceiptEntry[] = []
  /** Those of them, by index, of which it is not proven that their device made what was refused. */
  readonly #forgeable = new Set<number>()
  #sender: Sender | undefined
  /** Whether it has a slot. */
  #isAdmitted = false
  /** Why the first record that named a sender was not of one that may send. */
  #turnedAway: TurnedAway | undefined
  /** Nothing of the disk is used before a record proved that its device signed it. */
  #inflow: Inflow | undefined

  constructor(parts: IngestParts, visit: Visit) {
    this.#parts = parts
    this.#visit = visit
  }

  holding(bytes: number): void {
    if (!this.#visit.holding(bytes)) throw new BatchProblem('SERVER_BUSY')
  }

  /** The head of a large record proves its sender long before its body is here. */
  async foresee(envelope: Envelope): Promise<void> {
    if (this.#isAdmitted) return
    const verdict = await senderOf(envelope, this.#parts.catalog)
    const sender = verdict.is === 'known' ? verdict.sender : undefined
    const manifest = decodeManifest(envelope.payload)
    if (!sender || !manifest.ok || !verifyEnvelope(envelope, sender.key)) return
    await this.#admit(sender, { ...manifest.value, digest: sha256(envelope.payload) })
  }

  async take(frame: RecordFrame): Promise<void> {
    if (this.#entries.length === limits.maxBatchRecords) throw new BatchProblem('BATCH_TOO_MANY')
    if (this.#sender) return this.#takeFrom(this.#sender, frame)
    await this.#meet(frame)
  }

  /** The first record under a registered key says whose batch it is. */
  async #meet(frame: RecordFrame): Promise<void> {
    const verdict = await senderOf(frame.envelope, this.#parts.catalog)
    if (verdict.is === 'turnedAway') this.#turnedAway ??= verdict.refusal
    if (verdict.is !== 'known') return this.#note(frame, verdict.refusal)
    this.#sender = verdict.sender
    this.#tellRefusals()
    return this.#takeFrom(verdict.sender, frame)
  }

  async #takeFrom(sender: Sender, frame: RecordFrame): Promise<void> {
    const verdict = verifyRecord(frame, sender.keys)
    if (!verdict.ok) return this.#refuse(frame, verdict.refusal)
    await this.#admit(sender, { ...verdict.value.manifest, digest: digestOf(frame) })
    this.#inflow ??= new Inflow(sender, this.#parts, (fate) => this.#noteFate(fate))
    await this.#inflow.take(verdict.value, this.#entries.length)
  }

  /**
   * The signature over a record says nothing of who brings it: whoever saw it can bring it again. So one that is here
   * already proves nobody.
   */
  async #admit(sender: Sender, record: RecordName): Promise<void> {
    if (this.#isAdmitted || (await this.#isHere(sender, record))) return
    const verdict = this.#visit.takeSlot(sender.device, record.digest)
    if (verdict === 'full') throw new BatchProblem('SERVER_BUSY')
    if (verdict === 'deviceFull') throw new BatchProblem('DEVICE_BUSY')
    if (verdict === 'unproven') return
    this.#sender = sender
    this.#isAdmitted = true
  }

  async #isHere({ device }: Sender, { epoch, seq, digest }: RecordName): Promise<boolean> {
    const rows = await this.#parts.catalog.recordsAt(device, epoch, seq)
    return rows.some((row) => equalBytes(row.digest, digest))
  }

  #refuse(frame: RecordFrame, refusal: RefusalCode): void {
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

  #note(frame: RecordFrame, refusal: RefusalCode): void {
    const manifest = decodeManifest(frame.envelope.payload)
    const place = manifest.ok ? { epoch: manifest.value.epoch, seq: manifest.value.seq } : null
    if (!ownRefusals.has(refusal)) this.#forgeable.add(this.#entries.length)
    this.#entries.push({ place, digest: digestOf(frame), outcome: 'refused', refusal })
  }

  #noteFate({ facts, index, outcome }: Fate): void {
    const { epoch, seq, digest } = facts
    this.#entries[index] = { place: { epoch, seq }, digest, outcome }
  }

  async settle(): Promise<void> {
    await this.#inflow?.settle()
  }

  get whyNoReceipt(): ProblemCode | undefined {
    if (this.#entries.length === 0) return 'BATCH_EMPTY'
    if (!this.#sender) return this.#turnedAway ?? 'DEVICE_UNNAMED'
    return this.#signable.length === 0 ? 'BATCH_UNPROVEN' : undefined
  }

  /**
   * Whoever saw a record can bring it with another signature or body, and would get a refusal that names it: such a refusal is
   * only for a sender who has proven to be the device.
   */
  get #signable(): readonly ReceiptEntry[] {
    return this.#isAdmitted ? this.#entries : this.#entries.filter((_, index) => !this.#forgeable.has(index))
  }

  receipt(): Answer {
    if (!this.#sender) return { is: 'problem', code: 'DEVICE_UNNAMED' }
    const { device } = this.#sender
    const receipt = { device, timeMs: this.#parts.clock.now(), entries: this.#signable }
    return { is: 'receipt', receipt, bytes: signReceipt(receipt, this.#parts.signer) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inflow?.[Symbol.asyncDispose]()
  }
}
