import type { DeviceId } from '../../protocol/ids.ts'
import type { Catalog, Commit, NewRecord } from '../catalog/catalog.ts'
import type { Clock } from '../clock.ts'
import type { Journal } from '../journal.ts'
import { areaOf, areas, freeBlobKey } from '../store/blob-key.ts'
import type { BlobKey, BlobStore } from '../store/blob-store.ts'
import type { Arrival, Intake } from './intake.ts'
import { KnownHere, type Judgement } from './judge.ts'
import { lostBlobs } from './lost-blobs.ts'
import { TurnsByName } from './turns-by-name.ts'

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
  readonly #turns = new TurnsByName()
  /** By device: what each blob brings that is in the store, or may be, and is not yet known to be committed. */
  readonly #unsettled = new Map<DeviceId, readonly Commit[]>()

  /** By device: what makes durable what has arrived of each of its batches. */
  readonly #open = new Map<DeviceId, Set<() => Promise<void>>>()

  constructor(parts: SettlerParts) {
    this.#parts = parts
  }

  /** A batch of the device arrives until this is disposed of. */
  open(device: DeviceId, settle: () => Promise<void>): Disposable {
    const ofDevice = this.#open.get(device) ?? new Set()
    this.#open.set(device, ofDevice.add(settle))
    return { [Symbol.dispose]: () => this.#close(device, settle) }
  }

  #close(device: DeviceId, settle: () => Promise<void>): void {
    const ofDevice = this.#open.get(device)
    ofDevice?.delete(settle)
    if (ofDevice?.size === 0) this.#open.delete(device)
  }

  /**
   * Makes durable all whole records of the device that have arrived, whether their batches ever end or not. A batch of
   * which that fails says so in its own answer.
   */
  async settleOpen(device: DeviceId): Promise<void> {
    await Promise.allSettled([...(this.#open.get(device) ?? [])].map((settle) => settle()))
  }

  /**
   * The bytes are on the disk, then the catalog knows them; only then does this resolve. Another batch of the device may
   * have brought the same records since they were judged, so they are judged again, in this one's turn.
   */
  async settle(intake: Intake): Promise<readonly Settled[]> {
    if (intake.arrivals.length === 0) return []
    using _turn = await this.#turns.take(intake.device)
    await this.#settleLeftovers(intake.device)
    const settled = await judgeAgain(intake)
    const sealed = await this.#seal(intake, settled)
    if (sealed.length > 0) await this.#commit(joined(sealed))
    return settled
  }

  /**
   * A blob whose commit failed stays, because the commit may yet be found to have happened after a crash; the next
   * batch of its device, or the next start, makes it known.
   */
  async #settleLeftovers(device: DeviceId): Promise<void> {
    for (const leftover of this.#unsettled.get(device) ?? []) await this.#settleLeftover(leftover)
    this.#unsettled.delete(device)
  }

  async #settleLeftover(leftover: Commit): Promise<void> {
    const { store, catalog } = this.#parts
    for (const { key } of leftover.blobs) {
      if (await catalog.hasBlob(key)) return
      if (!(await store.sync(key))) return
    }
    await catalog.commit(leftover)
    this.#parts.journal.committed(leftover)
  }

  get hasLeftovers(): boolean {
    return this.#unsettled.size > 0
  }

  async #commit(commit: Commit): Promise<void> {
    this.#parts.journal.stored(commit)
    await this.#parts.catalog.commit(commit)
    this.#unsettled.delete(commit.device)
    this.#parts.journal.committed(commit)
  }

  /** What each area gets. Each is noted before it is sealed: a seal that fails may have made its blob visible. */
  async #seal(intake: Intake, settled: readonly Settled[]): Promise<readonly Commit[]> {
    const sealed: Commit[] = []
    for (const area of areas) {
      const kept = settled.filter(isKept).filter(({ judgement }) => areaOf(judgement.role) === area)
      const [first] = kept
      if (!first) continue
      const { draft, offsets } = await intake.pack(
        area,
        kept.map(({ arrival }) => arrival),
      )
      const key = await freeBlobKey(area, first.arrival.facts, (name) => this.#isTaken(name))
      const records = kept.map((one, index) => newRecord(one, key, offsets[index] ?? 0))
      const blobs = [{ key, bytes: draft.bytes }]
      const lost = await lostBlobs(records, intake.knowledge)
      sealed.push({ device: intake.device, nowMs: this.#parts.clock.now(), blobs, records, lost })
      this.#unsettled.set(intake.device, [...sealed])
      await draft.seal(key)
    }
    return sealed
  }

  /** A key stays taken while the catalog knows it, even if its blob is gone. */
  async #isTaken(key: BlobKey): Promise<boolean> {
    return (await this.#parts.store.has(key)) || this.#parts.catalog.hasBlob(key)
  }
}

type Kept = Settled & { readonly judgement: { readonly keep: true } }

const isKept = (settled: Settled): settled is Kept => settled.judgement.keep

async function judgeAgain({ arrivals, knowledge }: Intake): Promise<Settled[]> {
  const known = new KnownHere()
  const settled: Settled[] = []
  for (const arrival of arrivals) {
    settled.push({ arrival, judgement: await known.judge(arrival.facts, knowledge) })
  }
  return settled
}

function newRecord({ arrival, judgement }: Kept, blob: BlobKey, offset: number): NewRecord {
  const at = { blob, offset, bytes: arrival.bytes }
  const row = { ...arrival.facts, role: judgement.role, at }
  return { row, label: arrival.label, supersedes: judgement.supersedes }
}

/** One transaction for the blobs of all areas. */
function joined(commits: readonly Commit[]): Commit {
  const [first] = commits
  if (!first) throw new Error('there is nothing to commit')
  return {
    ...first,
    blobs: commits.flatMap(({ blobs }) => blobs),
    records: commits.flatMap(({ records }) => records),
    lost: commits.flatMap(({ lost = [] }) => lost),
  }
}
