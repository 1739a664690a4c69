import type { DeviceId } from '../../protocol/ids.ts'
import type { VerifiedRecord } from '../../protocol/verify.ts'
import type { Catalog, Label, RecordFacts } from '../catalog/catalog.ts'
import { labelOf, factsOf } from '../catalog/record-facts.ts'
import { areaOf, type Area } from '../store/blob-key.ts'
import type { BlobDraft, BlobStore } from '../store/blob-store.ts'
import { KnownHere, type Judgement, type Knowledge } from './judge.ts'
import type { Sender } from './sender.ts'

/** A record that stands in a draft. */
export interface Arrival {
  readonly facts: RecordFacts
  readonly label: Label
  /** Its place in the batch. */
  readonly index: number
  readonly area: Area
  readonly offset: number
  readonly bytes: number
}

/** A draft, and where in it each of some records stands. */
export interface Packed {
  readonly draft: BlobDraft
  readonly offsets: readonly number[]
}

/**
 * The new records of one batch while they arrive: written, and seen by nobody until they are settled. Nothing of a
 * batch that is not settled stays.
 */
export class Intake implements AsyncDisposable {
  readonly device: DeviceId
  /** What its records are judged by. */
  readonly knowledge: Knowledge
  readonly #store: BlobStore
  readonly #drafts = new Map<Area, BlobDraft>()
  readonly #repacked: BlobDraft[] = []
  readonly #arrivals: Arrival[] = []
  readonly #known = new KnownHere()

  constructor(
    { device, keys }: Sender,
    { store, catalog }: { readonly store: BlobStore; readonly catalog: Catalog },
  ) {
    this.device = device
    this.knowledge = { store, catalog, keys }
    this.#store = store
  }

  get arrivals(): readonly Arrival[] {
    return this.#arrivals
  }

  /** Writes the record if it is new. What this says is provisional until the batch is settled. */
  async take(record: VerifiedRecord, index: number): Promise<Judgement> {
    const facts = factsOf(record)
    const judgement = await this.#known.judge(facts, this.knowledge)
    if (judgement.keep) await this.#write(record, facts, index, areaOf(judgement.role))
    return judgement
  }

  async #write(
    { frame, manifest }: VerifiedRecord,
    facts: RecordFacts,
    index: number,
    area: Area,
  ): Promise<void> {
    const draft = this.#drafts.get(area) ?? (await this.#open(area))
    const place = { area, offset: draft.bytes, bytes: frame.bytes.length }
    await draft.append(frame.bytes)
    this.#arrivals.push({ facts, label: labelOf(manifest), index, ...place })
  }

  async #open(area: Area): Promise<BlobDraft> {
    const draft = await this.#store.draft()
    this.#drafts.set(area, draft)
    return draft
  }

  /** A draft for `area` that holds exactly these of the arrivals, in this order. */
  async pack(area: Area, arrivals: readonly Arrival[]): Promise<Packed> {
    const draft = this.#drafts.get(area)
    const written = this.#arrivals.filter((arrival) => arrival.area === area).length
    const isExact = written === arrivals.length && arrivals.every((arrival) => arrival.area === area)
    return draft && isExact
      ? { draft, offsets: arrivals.map(({ offset }) => offset) }
      : this.#repack(arrivals)
  }

  /** Copies what is still new: another batch brought the rest of this one meanwhile. */
  async #repack(arrivals: readonly Arrival[]): Promise<Packed> {
    const draft = await this.#store.draft()
    this.#repacked.push(draft)
    const offsets: number[] = []
    for (const { area, offset, bytes } of arrivals) {
      offsets.push(draft.bytes)
      const record = await this.#drafts.get(area)?.read(offset, bytes)
      if (record) await draft.append(record)
    }
    return { draft, offsets }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const draft of [...this.#drafts.values(), ...this.#repacked]) await draft[Symbol.asyncDispose]()
  }
}
