import { equalBytes, noDigest, type DeviceId, type Digest, type Epoch } from '../../protocol/ids.ts'
import { equalLabels } from './label.ts'
import type { Label, RecordRow } from '../catalog/catalog.ts'
import { labelOf } from '../catalog/record-facts.ts'
import type { Clock } from '../clock.ts'
import { areas } from '../store/blob-key.ts'
import type { BlobInfo, BlobKey } from '../store/blob-store.ts'
import { loadRecord } from './load-record.ts'
import type { QueryParts } from './stream-report.ts'

/** One thing that is not as it should be. */
export interface Finding {
  readonly code:
    | 'RECEIPT_KEY_WRONG'
    | 'CATALOG_DAMAGED'
    | 'RECORD_DAMAGED'
    | 'BLOB_MISSING'
    | 'BLOB_UNKNOWN'
    | 'BYTES_UNKNOWN'
    | 'LABEL_WRONG'
    | 'GAP'
    | 'CHAIN_BROKEN'
    | 'FORK'
  readonly device?: DeviceId
  readonly epoch?: number
  readonly seq?: number
  readonly blob?: BlobKey
  readonly detail: string
}

export interface AuditCounts {
  blobs: number
  records: number
  bytes: number
  devices: number
  streams: number
}

interface AuditParts extends QueryParts {
  readonly clock: Clock
}

/** How long a blob may stand between the store and the catalog of a running server before it counts as unknown. */
const settlingMs = 1000

/** Reads all that is stored again and compares it with what was signed, with the catalog, and with the chain. */
export class Audit {
  readonly counts: AuditCounts = { blobs: 0, records: 0, bytes: 0, devices: 0, streams: 0 }
  readonly #parts: AuditParts
  /** By device and stream: the label of the last record in the chain. */
  readonly #labels = new Map<string, Labelled>()

  constructor(parts: AuditParts) {
    this.#parts = parts
  }

  async *findings(): AsyncGenerator<Finding, void, undefined> {
    for (const detail of await this.#parts.catalog.checkup()) yield { code: 'CATALOG_DAMAGED', detail }
    yield* this.#stored()
    yield* this.#lacking()
    yield* this.#chains()
    yield* this.#streams()
  }

  /** Every blob in the store. */
  async *#stored(): AsyncGenerator<Finding, void, undefined> {
    const unknown: BlobInfo[] = []
    for (const area of areas) {
      for await (const blob of this.#parts.store.list(area)) {
        if (await this.#parts.catalog.hasBlob(blob.key)) yield* this.#blob(blob)
        else unknown.push(blob)
      }
    }
    if (unknown.length > 0) await this.#parts.clock.sleep(settlingMs, new AbortController().signal)
    for (const blob of unknown) {
      if (await this.#parts.catalog.hasBlob(blob.key)) yield* this.#blob(blob)
      else yield { code: 'BLOB_UNKNOWN', blob: blob.key, detail: 'the catalog does not know this blob' }
    }
  }

  async *#blob({ key, bytes }: BlobInfo): AsyncGenerator<Finding, void, undefined> {
    this.counts.blobs++
    this.counts.bytes += bytes
    let position = 0
    for (const row of await this.#parts.catalog.recordsIn(key)) {
      if (row.at.offset !== position) yield unknownBytes(key, position, row.at.offset)
      position = row.at.offset + row.at.bytes
      yield* this.#record(row)
    }
    if (position !== bytes) yield unknownBytes(key, position, bytes)
  }

  async *#record(row: RecordRow): AsyncGenerator<Finding, void, undefined> {
    this.counts.records++
    const loaded = await loadRecord(row, this.#parts)
    if (!loaded.ok) yield { code: 'RECORD_DAMAGED', ...placeOf(row), detail: loaded.why }
    else this.#noteLabel(row, labelOf(loaded.record.manifest))
  }

  #noteLabel(row: RecordRow, label: Label): void {
    const name = `${row.device}/${row.stream}`
    const last = this.#labels.get(name)
    if (row.role === 'fork' || (last && isBefore(row, last.row))) return
    this.#labels.set(name, { row, label })
  }

  /** Every blob of the catalog that the store does not have. */
  async *#lacking(): AsyncGenerator<Finding, void, undefined> {
    for await (const { key } of this.#parts.catalog.blobs()) {
      if (await this.#parts.store.has(key)) continue
      for (const row of await this.#parts.catalog.recordsIn(key)) {
        yield {
          code: 'BLOB_MISSING',
          ...placeOf(row),
          detail: 'the store does not have the blob of this record',
        }
      }
    }
  }

  async *#chains(): AsyncGenerator<Finding, void, undefined> {
    for (const { device } of await this.#parts.catalog.devices()) {
      this.counts.devices++
      yield* chainFindings(this.#parts.catalog.recordsOf(device))
    }
  }

  async *#streams(): AsyncGenerator<Finding, void, undefined> {
    for (const row of await this.#parts.catalog.streams()) {
      this.counts.streams++
      const signed = this.#labels.get(`${row.device}/${row.stream}`)
      if (!signed || equalLabels(row, signed.label)) continue
      const detail = `the catalog labels stream ${row.stream} otherwise than its last record does`
      yield { code: 'LABEL_WRONG', ...placeOf(signed.row), detail }
    }
  }
}

interface Labelled {
  readonly row: RecordRow
  readonly label: Label
}

const isBefore = (a: RecordRow, b: RecordRow): boolean =>
  a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq)

function placeOf({ device, epoch, seq, at }: RecordRow): Pick<Finding, 'device' | 'epoch' | 'seq' | 'blob'> {
  return { device, epoch, seq, blob: at.blob }
}

function unknownBytes(blob: BlobKey, from: number, to: number): Finding {
  const detail = `bytes ${from} to ${to} are not what the catalog says of this blob`
  return { code: 'BYTES_UNKNOWN', blob, detail }
}

/** What the chain of one device lacks. Its records come in order, forks after the record that holds the place. */
async function* chainFindings(records: AsyncIterable<RecordRow>): AsyncGenerator<Finding, void, undefined> {
  let head: { epoch: Epoch; next: number; last: Digest } | undefined
  for await (const row of records) {
    if (row.role === 'fork') {
      yield { code: 'FORK', ...placeOf(row), detail: 'another record holds this place in the chain' }
      continue
    }
    if (head?.epoch !== row.epoch) head = { epoch: row.epoch, next: 0, last: noDigest }
    if (row.seq !== head.next) yield gapBefore(row, head.next)
    else if (!equalBytes(row.prev, head.last)) {
      yield { code: 'CHAIN_BROKEN', ...placeOf(row), detail: 'it does not follow from the record before it' }
    }
    head = { epoch: row.epoch, next: row.seq + 1, last: row.digest }
  }
}

function gapBefore(row: RecordRow, next: number): Finding {
  const last = row.seq - 1
  const lacking = next === last ? `record ${next} is` : `records ${next} to ${last} are`
  return { code: 'GAP', ...placeOf(row), detail: `${lacking} not here` }
}
