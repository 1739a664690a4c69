import type { StreamId } from '../../protocol/ids.ts'
import type { IndexEntry } from './index-entry.ts'

/** How the counts of a stream change. */
export interface Change {
  /** Records that wait for a receipt. */
  readonly records?: number
  /** Their size in the segments. */
  readonly recordBytes?: number
  /** Those among them whose body was evicted. */
  readonly evicted?: number
  /** Of the log's bytes: in the queue, and signed for by the server. */
  readonly queued?: number
  readonly receipted?: number
  /** Of the log's bytes: those that loss records name, and those whose record has lost its body. */
  readonly neverRead?: number
  readonly bodiless?: number
}

interface Counts {
  records: number
  queued: number
  receipted: number
  neverRead: number
  bodiless: number
}

const none: Readonly<Counts> = { records: 0, queued: 0, receipted: 0, neverRead: 0, bodiless: 0 }

/** What the queue holds and has handed over, in bytes and records: `status` and `flush` are counted from it. */
export class Ledger {
  readonly #streams = new Map<StreamId, Counts>()
  #records = 0
  #bytes = 0
  #evicted = 0
  #lost = 0
  #lostOfEnded = 0

  /** Records that wait for a receipt. */
  get records(): number {
    return this.#records
  }

  /** Their size in the segments. */
  get bytes(): number {
    return this.#bytes
  }

  /** Those among them whose body was evicted. */
  get evictedRecords(): number {
    return this.#evicted
  }

  /** Of the log's bytes in the queue. */
  queuedBytes(stream: StreamId): number {
    return this.#of(stream).queued
  }

  /** Of the log's bytes that the server has signed for. */
  receiptedBytes(stream: StreamId): number {
    return this.#of(stream).receipted
  }

  /** Of the log's bytes that loss records name, or whose record has lost its body. */
  lostBytes(stream: StreamId): number {
    const { neverRead, bodiless } = this.#of(stream)
    return neverRead + bodiless
  }

  /** The same of all streams, those among them that have ended, too. */
  get lostInAllBytes(): number {
    return this.#lost
  }

  /** The same of all streams whose count has ended. */
  get lostOfEndedBytes(): number {
    return this.#lostOfEnded
  }

  /** What was lost of streams that ended in an earlier life. */
  recallLost(bytes: number): void {
    this.#lostOfEnded += bytes
    this.#lost += bytes
  }

  /** Whether records of the stream wait for a receipt. */
  isWaiting(stream: StreamId): boolean {
    return this.#of(stream).records > 0
  }

  /** The streams that have records in the queue. */
  get queuedStreams(): StreamId[] {
    return [...this.#streams].filter(([, { records }]) => records > 0).map(([stream]) => stream)
  }

  /** The counts of a stream once this change is made. */
  after(stream: StreamId, change: Change): Readonly<Counts> {
    const before = this.#of(stream)
    return {
      records: before.records + (change.records ?? 0),
      queued: before.queued + (change.queued ?? 0),
      receipted: before.receipted + (change.receipted ?? 0),
      neverRead: before.neverRead + (change.neverRead ?? 0),
      bodiless: before.bodiless + (change.bodiless ?? 0),
    }
  }

  change(stream: StreamId, change: Change): void {
    this.#streams.set(stream, { ...this.after(stream, change) })
    this.#records += change.records ?? 0
    this.#bytes += change.recordBytes ?? 0
    this.#evicted += change.evicted ?? 0
    this.#lost += (change.neverRead ?? 0) + (change.bodiless ?? 0)
  }

  /** Ends the count of a stream that nothing follows and nothing waits for. */
  forgetStream(stream: StreamId): void {
    if (this.isWaiting(stream)) return
    this.#lostOfEnded += this.lostBytes(stream)
    this.#streams.delete(stream)
  }

  #of(stream: StreamId): Readonly<Counts> {
    return this.#streams.get(stream) ?? none
  }
}

/** Adds a change to those of its stream. */
function addChange(changes: Map<StreamId, Change>, stream: StreamId, change: Change): void {
  const before = changes.get(stream) ?? {}
  const sum = (name: keyof Change): number => (before[name] ?? 0) + (change[name] ?? 0)
  changes.set(stream, {
    records: sum('records'),
    recordBytes: sum('recordBytes'),
    evicted: sum('evicted'),
    queued: sum('queued'),
    receipted: sum('receipted'),
    bodiless: sum('bodiless'),
  })
}

/**
 * How the counts change when these are gone: the server has them, some without their body. What was evicted counts as lost
 * already, and no more where the server has its body all the same.
 */
export function changesByReceipt(
  received: readonly IndexEntry[],
  withoutBody: readonly IndexEntry[],
): ReadonlyMap<StreamId, Change> {
  const changes = new Map<StreamId, Change>()
  for (const { stream, length, extent } of received) {
    const counted = extent ? { queued: -length } : { bodiless: -length }
    addChange(changes, stream, { ...counted, receipted: length, ...gone(extent) })
  }
  for (const { stream, length, extent } of withoutBody) {
    addChange(changes, stream, { ...(extent ? { queued: -length, bodiless: length } : {}), ...gone(extent) })
  }
  return changes
}

/** How the counts change when others hold what these held. */
export function changesByReplacement(entries: readonly IndexEntry[]): ReadonlyMap<StreamId, Change> {
  const changes = new Map<StreamId, Change>()
  for (const { stream, length, extent } of entries) {
    const bytes = extent ? { queued: -length } : { bodiless: -length }
    addChange(changes, stream, { ...bytes, ...gone(extent) })
  }
  return changes
}

function gone(extent: IndexEntry['extent']): Change {
  return { records: -1, recordBytes: -(extent?.length ?? 0), evicted: extent ? 0 : -1 }
}

/** How the counts change when these lose their bodies. */
export function changesByEviction(entries: readonly IndexEntry[]): ReadonlyMap<StreamId, Change> {
  const changes = new Map<StreamId, Change>()
  for (const { stream, length, extent } of entries) {
    const bytes = { queued: -length, bodiless: length, recordBytes: -(extent?.length ?? 0) }
    addChange(changes, stream, { ...bytes, evicted: 1 })
  }
  return changes
}
