import type { DeviceId } from '../../protocol/ids.ts'
import type { Catalog, Commit, NewRecord } from '../catalog/catalog.ts'
import type { Clock } from '../clock.ts'
import type { Journal } from '../journal.ts'
import { areaOf, areas, freeBlobKey } from '../store/blob-key.ts'
import type { BlobKey, BlobStore } from '../store/blob-store.ts'
import type { Arrival, Intake } from './intake.ts'
import { KnownHere, type Judgement } from './judge.ts'
import { Turns } from './turns.ts'

export interface SettlerParts {
  readonly clock: Clock
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly journal: Journal
}

export interface Settled {
  readonly arrival: Arrival
  readonly judgement: Judgement
}

/** Makes batches durable, one of a device at a time. */
export class Settler {
  readonly #parts: SettlerParts
  readonly #turns = new Turns()
  /** By device: what is in the store and could not be committed. */
  readonly #unsettled = new Map<DeviceId, Commit>()

  constructor(parts: SettlerParts) {
    this.#parts = parts
  }

  /**
   * The bytes are on the disk, then the catalog knows them; only then does this resolve. Another batch of the device may
   * have brought the same records since they were judged, so they are judged again, in this one's turn.
   */
  async settle(intake: Intake): Promise<readonly Settled[]> {
    if (intake.arrivals.length === 0) return []
    using _turn = await this.#turns.take(intake.device)
    await this.#settleLeftover(intake.device)
    const settled = await judgeAgain(intake.arrivals, this.#parts.catalog)
    const commit = await this.#seal(intake, settled)
    if (commit.records.length > 0) await this.#commit(commit)
    return settled
  }

  /**
   * A blob whose commit failed stays, because the commit may yet be found to have happened after a crash; the next
   * batch of its device, or the next start, makes it known.
   */
  async #settleLeftover(device: DeviceId): Promise<void> {
    const leftover = this.#unsettled.get(device)
    if (!leftover) return
    const [blob] = leftover.blobs
    if (blob && !(await this.#parts.catalog.hasBlob(blob.key))) await this.#parts.catalog.commit(leftover)
    this.#unsettled.delete(device)
  }

  get hasLeftovers(): boolean {
    return this.#unsettled.size > 0
  }

  async #commit(commit: Commit): Promise<void> {
    this.#parts.journal.stored(commit)
    this.#unsettled.set(commit.device, commit)
    await this.#parts.catalog.commit(commit)
    this.#unsettled.delete(commit.device)
    this.#parts.journal.committed(commit)
  }

  async #seal(intake: Intake, settled: readonly Settled[]): Promise<Commit> {
    const blobs: BlobSize[] = []
    const records: NewRecord[] = []
    for (const area of areas) {
      const kept = settled.filter(isKept).filter(({ judgement }) => areaOf(judgement.role) === area)
      const [first] = kept
      if (!first) continue
      const { draft, offsets } = await intake.pack(
        area,
        kept.map(({ arrival }) => arrival),
      )
      const blob = await freeBlobKey(area, first.arrival.facts, this.#parts.store)
      await draft.seal(blob)
      blobs.push({ key: blob, bytes: draft.bytes })
      records.push(...kept.map((one, index) => newRecord(one, blob, offsets[index] ?? 0)))
    }
    return { device: intake.device, nowMs: this.#parts.clock.now(), blobs, records }
  }
}

type BlobSize = Commit['blobs'][number]
type Kept = Settled & { readonly judgement: { readonly keep: true } }

const isKept = (settled: Settled): settled is Kept => settled.judgement.keep

async function judgeAgain(arrivals: readonly Arrival[], catalog: Catalog): Promise<Settled[]> {
  const known = new KnownHere()
  const settled: Settled[] = []
  for (const arrival of arrivals) {
    settled.push({ arrival, judgement: await known.judge(arrival.facts, catalog) })
  }
  return settled
}

function newRecord({ arrival, judgement }: Kept, blob: BlobKey, offset: number): NewRecord {
  const at = { blob, offset, bytes: arrival.bytes }
  const row = { ...arrival.facts, role: judgement.role, at }
  return { row, label: arrival.label, supersedes: judgement.supersedes }
}
