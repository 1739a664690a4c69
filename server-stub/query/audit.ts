import type { KeyRing } from '../../protocol/verify.ts'
import type { Catalog, RecordRow } from '../catalog/catalog.ts'
import { labelOf } from '../catalog/record-facts.ts'
import type { Clock } from '../clock.ts'
import { auditKeys } from '../ingest/key-ring.ts'
import { areas } from '../store/blob-key.ts'
import type { BlobInfo, BlobKey, BlobStore } from '../store/blob-store.ts'
import { auditChains, type ChainEnd } from './audit-chains.ts'
import { auditContent } from './audit-content.ts'
import { StreamAudit } from './audit-streams.ts'
import { findingAt, type Finding } from './finding.ts'
import { loadRecord } from './load-record.ts'

export interface AuditCounts {
  blobs: number
  records: number
  bytes: number
  devices: number
  streams: number
}

interface AuditParts {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly clock: Clock
}

/** How long a blob may stand between the store and the catalog of a running server before it counts as unknown. */
const settlingMs = 1000

/**
 * Reads all that is stored again and compares it with what was signed, with the catalog, and with the chain. It judges
 * the catalog as it stood at one moment: what a running server stores meanwhile is for the next audit.
 */
export class Audit {
  readonly counts: AuditCounts = { blobs: 0, records: 0, bytes: 0, devices: 0, streams: 0 }
  /** Where each chain ends, in order. */
  readonly ends: ChainEnd[] = []
  readonly #parts: AuditParts

  constructor(parts: AuditParts) {
    this.#parts = parts
  }

  async *findings(): AsyncGenerator<Finding, void, undefined> {
    const unknown: BlobInfo[] = []
    yield* this.#snapshot(unknown)
    yield* this.#stillUnknown(unknown)
  }

  async *#snapshot(unknown: BlobInfo[]): AsyncGenerator<Finding, void, undefined> {
    await using catalog = await this.#parts.catalog.snapshot()
    const keys = auditKeys(await catalog.devices())
    yield* new SnapshotAudit({ ...this.#parts, catalog, keys }, this.counts, this.ends).findings(unknown)
  }

  /** Blobs that came after the snapshot are known by now; others never were. */
  async *#stillUnknown(blobs: readonly BlobInfo[]): AsyncGenerator<Finding, void, undefined> {
    if (blobs.length > 0) await this.#parts.clock.sleep(settlingMs, new AbortController().signal)
    for (const { key } of blobs) {
      if (await this.#parts.catalog.hasBlob(key)) continue
      yield { code: 'BLOB_UNKNOWN', blob: key, detail: 'the catalog does not know this blob' }
    }
  }
}

class SnapshotAudit {
  readonly #parts: AuditParts & { readonly keys: KeyRing }
  readonly #counts: AuditCounts
  readonly #ends: ChainEnd[]
  readonly #streams = new StreamAudit()

  constructor(parts: AuditParts & { readonly keys: KeyRing }, counts: AuditCounts, ends: ChainEnd[]) {
    this.#parts = parts
    this.#counts = counts
    this.#ends = ends
  }

  /** Blobs of the store that the catalog does not know go to `unknown`. */
  async *findings(unknown: BlobInfo[]): AsyncGenerator<Finding, void, undefined> {
    const { catalog } = this.#parts
    for (const detail of await catalog.checkup()) yield { code: 'CATALOG_DAMAGED', detail }
    yield* this.#stored(unknown)
    yield* this.#known()
    yield* this.#chains()
    const streams = await catalog.streams()
    this.#counts.streams = streams.length
    yield* this.#streams.findings(streams)
    for (const stream of streams) yield* auditContent(stream, this.#parts)
  }

  /** Every blob in the store. */
  async *#stored(unknown: BlobInfo[]): AsyncGenerator<Finding, void, undefined> {
    for (const area of areas) {
      for await (const blob of this.#parts.store.list(area)) {
        if (await this.#parts.catalog.hasBlob(blob.key)) yield* this.#blob(blob)
        else unknown.push(blob)
      }
    }
  }

  async *#blob({ key, bytes }: BlobInfo): AsyncGenerator<Finding, void, undefined> {
    this.#counts.blobs++
    this.#counts.bytes += bytes
    let position = 0
    for (const row of await this.#parts.catalog.recordsIn(key)) {
      if (row.at.offset !== position) yield unknownBytes(key, position, row.at.offset)
      position = row.at.offset + row.at.bytes
      yield* this.#record(row)
    }
    if (position !== bytes) yield unknownBytes(key, position, bytes)
  }

  async *#record(row: RecordRow): AsyncGenerator<Finding, void, undefined> {
    this.#counts.records++
    const loaded = await loadRecord(row, this.#parts)
    if (loaded.ok) this.#streams.noteLabel(row, labelOf(loaded.record.manifest))
    else yield findingAt('RECORD_DAMAGED', row, loaded.why)
  }

  /** Every blob of the catalog that the store does not have, and each record in it. */
  async *#known(): AsyncGenerator<Finding, void, undefined> {
    for await (const { key, bytes } of this.#parts.catalog.blobs()) {
      const rows = await this.#parts.catalog.recordsIn(key)
      const end = rows.reduce((last, { at }) => Math.max(last, at.offset + at.bytes), 0)
      if (bytes !== end) {
        yield {
          code: 'BYTES_UNKNOWN',
          blob: key,
          detail: `the catalog says ${bytes} bytes, and has ${end} in records`,
        }
      }
      if (await this.#parts.store.has(key)) continue
      const [first] = rows
      if (!first)
        yield {
          code: 'BLOB_MISSING',
          blob: key,
          detail: 'the store does not have it, nor the catalog its records',
        }
      for (const row of rows)
        yield findingAt('BLOB_MISSING', row, 'the store does not have the blob of this record')
    }
  }

  async *#chains(): AsyncGenerator<Finding, void, undefined> {
    for (const { device } of await this.#parts.catalog.devices()) {
      this.#counts.devices++
      yield* auditChains(this.#noting(this.#parts.catalog.everyRecordOf(device)), this.#ends)
    }
  }

  async *#noting(records: AsyncIterable<RecordRow>): AsyncGenerator<RecordRow, void, undefined> {
    for await (const row of records) {
      this.#streams.noteRow(row)
      yield row
    }
  }
}

function unknownBytes(blob: BlobKey, from: number, to: number): Finding {
  const detail = `bytes ${from} to ${to} are not what the catalog says of this blob`
  return { code: 'BYTES_UNKNOWN', blob, detail }
}
