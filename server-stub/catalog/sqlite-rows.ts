import type { SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { parsePublicKey } from '../../protocol/ed25519-policy.ts'
import { Fault } from '../../protocol/fault.ts'
import {
  equalBytes,
  isCount,
  parseByteOffset,
  parseDeviceId,
  parseDigest,
  parseEpoch,
  parseSequence,
  parseStreamId,
} from '../../protocol/ids.ts'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import { lossReasons } from '../../protocol/manifest.ts'
import { serverFault } from '../faults.ts'
import type { BlobInfo, BlobKey } from '../store/blob-store.ts'
import { roles, type DeviceRow, type RecordRow, type StreamRow } from './catalog.ts'
import { deviceSum } from './device-sum.ts'

/** A row as SQLite gives it: the file may be damaged, so every field is parsed like one from outside. */
export type Row = Record<string, SQLOutputValue>

const kinds = ['data', 'loss', 'close'] as const

/** Throws CATALOG_DAMAGED, as each of these does, where a field is not what was stored. */
export function recordRow(row: Row): RecordRow {
  const text = (name: string): string => textIn(row, name)
  return {
    device: sound(parseDeviceId(text('device')), 'records.device'),
    epoch: sound(parseEpoch(row['epoch']), 'records.epoch'),
    seq: sound(parseSequence(row['seq']), 'records.seq'),
    prev: sound(parseDigest(row['prev']), 'records.prev'),
    digest: sound(parseDigest(row['digest']), 'records.digest'),
    stream: sound(parseStreamId(text('streamId')), 'streams.stream'),
    kind: sound(
      kinds.find((kind) => kind === row['kind']),
      'records.kind',
    ),
    offset: sound(parseByteOffset(row['start']), 'records.start'),
    length: nullOr(row['length'], (value) => countIn(value, 'records.length')),
    reason: nullOr(row['reason'], (value) =>
      sound(
        lossReasons.find((reason) => reason === value),
        'records.reason',
      ),
    ),
    sha256: nullOr(row['sha256'], (value) => sound(parseDigest(value), 'records.sha256')),
    hasBody: row['hasBody'] === 1,
    role: sound(roles[countIn(row['role'], 'records.role')], 'records.role'),
    at: {
      blob: text('blobKey') as BlobKey,
      offset: countIn(row['blobOffset'], 'records.blobOffset'),
      bytes: countIn(row['blobBytes'], 'records.blobBytes'),
    },
  }
}

/** Throws where the row is not the one that was written, whatever it says: a key that was revoked must stay so. */
export function deviceRow(row: Row): DeviceRow {
  const device = deviceFacts(row)
  const sum = row['sum']
  if (sum instanceof Uint8Array && equalBytes(sum, deviceSum(device))) return device
  throw serverFault('CATALOG_DAMAGED', `the catalog's row of device ${device.device} is damaged`)
}

/** Those that are as they were written. */
export function soundDeviceRows(rows: readonly Row[]): DeviceRow[] {
  return rows.flatMap((row) => {
    try {
      return [deviceRow(row)]
    } catch (error) {
      if (error instanceof Fault && error.code === 'CATALOG_DAMAGED') return []
      throw error
    }
  })
}

/** The values of a row, in the order of the columns. */
export function deviceValues(row: DeviceRow): SQLInputValue[] {
  const { device, key, addedMs, revokedMs, lastSeenMs } = row
  return [device, key.bytes, addedMs, revokedMs, lastSeenMs, deviceSum(row)]
}

/** What the row says, whether its sum agrees or not. */
export function deviceFacts(row: Row): DeviceRow {
  const key = row['key'] instanceof Uint8Array ? parsePublicKey(row['key']) : undefined
  return {
    device: sound(parseDeviceId(textIn(row, 'device')), 'register.device'),
    key: sound(key, 'register.key'),
    addedMs: countIn(row['addedMs'], 'register.addedMs'),
    revokedMs: nullOr(row['revokedMs'], (value) => countIn(value, 'register.revokedMs')),
    lastSeenMs: nullOr(row['lastSeenMs'], (value) => countIn(value, 'register.lastSeenMs')),
  }
}

export function streamRow(row: Row): StreamRow {
  const path = row['path'] instanceof Uint8Array ? logPathFromBytes(row['path']) : undefined
  return {
    device: sound(parseDeviceId(textIn(row, 'device')), 'streams.device'),
    stream: sound(parseStreamId(textIn(row, 'stream')), 'streams.stream'),
    path: sound(path, 'streams.path'),
    tags: sound(parseTags(textIn(row, 'tags')), 'streams.tags'),
    firstEpoch: sound(parseEpoch(row['firstEpoch']), 'streams.firstEpoch'),
    firstSeq: sound(parseSequence(row['firstSeq']), 'streams.firstSeq'),
    firstSeenMs: countIn(row['firstSeenMs'], 'streams.firstSeenMs'),
    lastSeenMs: countIn(row['lastSeenMs'], 'streams.lastSeenMs'),
    forks: countIn(row['forks'], 'records'),
  }
}

export function blobRow(row: Row): Pick<BlobInfo, 'key' | 'bytes'> {
  return { key: textIn(row, 'key') as BlobKey, bytes: countIn(row['bytes'], 'blobs.bytes') }
}

/** As `streamRow` reads them: a map has an order, and may have names that objects have by themselves. */
export function tagsToText(tags: StreamRow['tags']): string {
  return JSON.stringify([...tags])
}

function parseTags(text: string): ReadonlyMap<string, string> | undefined {
  try {
    const pairs: unknown = JSON.parse(text)
    return Array.isArray(pairs) && pairs.every(isPair) ? new Map(pairs) : undefined
  } catch {
    // JSON.parse throws on a damaged field; which character it was helps nobody.
    return undefined
  }
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string')
}

/** A column that is not there is not empty. */
function nullOr<T>(
  value: SQLOutputValue | undefined,
  parse: (value: SQLOutputValue | undefined) => T,
): T | null {
  return value === null ? null : parse(value)
}

/** A whole number from 0. Throws CATALOG_DAMAGED, naming the column, for anything else. */
export function countIn(value: unknown, column: string): number {
  return sound(isCount(value) ? value : undefined, column)
}

function textIn(row: Row, name: string): string {
  const value = row[name]
  return sound(typeof value === 'string' ? value : undefined, name)
}

function sound<T>(value: T | undefined, column: string): T {
  if (value === undefined) throw serverFault('CATALOG_DAMAGED', `the catalog has a damaged ${column}`)
  return value
}
