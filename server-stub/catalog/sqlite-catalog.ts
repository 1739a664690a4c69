import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import { Fault } from '../../protocol/fault.ts'
import {
  equalBytes,
  parseDigest,
  type DeviceId,
  type Epoch,
  type Sequence,
  type StreamId,
} from '../../protocol/ids.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import { serverFault, type FaultCode } from '../faults.ts'
import type { BlobInfo, BlobKey } from '../store/blob-store.ts'
import {
  roles,
  type Catalog,
  type Commit,
  type ContentHash,
  type DeviceRow,
  type NewRecord,
  type RecordRow,
  type Registration,
  type SettingName,
  type StreamRow,
} from './catalog.ts'
import { schema, schemaVersion } from './schema.ts'
import { blobRow, deviceRow, recordRow, streamRow, tagsToText, type Row } from './sqlite-rows.ts'

/** How long a writer waits for another process, such as `device add` while the server commits. */
const busyTimeoutMs = 5000

const recordColumns = `
  r.device, r.epoch, r.seq, r.role, r.digest, r.prev, r.kind, r.start, r.length, r.reason, r.sha256, r.hasBody,
  r.blobOffset, r.blobBytes, s.stream AS streamId, b.key AS blobKey
  FROM records r JOIN streams s ON s.id = r.stream JOIN blobs b ON b.id = r.blob`

const queries = {
  device: 'SELECT * FROM devices WHERE device = ?',
  devices: 'SELECT * FROM devices ORDER BY device',
  addDevice: 'INSERT INTO devices (device, key, addedMs) VALUES (?, ?, ?)',
  revokeDevice: 'UPDATE devices SET revokedMs = coalesce(revokedMs, ?) WHERE device = ?',
  seeDevice: 'UPDATE devices SET lastSeenMs = ? WHERE device = ?',
  recordsAt: `SELECT ${recordColumns} WHERE r.device = ? AND r.epoch = ? AND r.seq = ? AND r.role < 2
    ORDER BY r.role, r.id`,
  recordsOfStream: `SELECT ${recordColumns} WHERE s.device = ? AND s.stream = ? AND r.role < 2
    ORDER BY r.epoch, r.seq, r.role, r.id`,
  recordsOfDevice: `SELECT ${recordColumns} WHERE r.device = ? AND r.role < 2
    ORDER BY r.epoch, r.seq, r.role, r.id`,
  recordsIn: `SELECT ${recordColumns} WHERE b.key = ? ORDER BY r.blobOffset`,
  addBlob: 'INSERT INTO blobs (key, bytes) VALUES (?, ?) RETURNING id',
  blob: 'SELECT key, bytes FROM blobs WHERE key = ?',
  blobs: 'SELECT key, bytes FROM blobs WHERE key > ? ORDER BY key LIMIT 1000',
  /** The label is the one of the last record in the chain, in whatever order they arrive; a fork labels nothing. */
  putStream: `
    INSERT INTO streams (device, stream, path, tags, firstEpoch, firstSeq, labelEpoch, labelSeq, firstSeenMs, lastSeenMs)
    VALUES (:device, :stream, :path, :tags, :epoch, :seq, :labelEpoch, :seq, :nowMs, :nowMs)
    ON CONFLICT (device, stream) DO UPDATE SET
      path = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :path, path),
      tags = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :tags, tags),
      firstEpoch = iif((:epoch, :seq) < (firstEpoch, firstSeq), :epoch, firstEpoch),
      firstSeq = iif((:epoch, :seq) < (firstEpoch, firstSeq), :seq, firstSeq),
      labelEpoch = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :labelEpoch, labelEpoch),
      labelSeq = iif((:labelEpoch, :seq) >= (labelEpoch, labelSeq), :seq, labelSeq),
      firstSeenMs = min(firstSeenMs, :nowMs),
      lastSeenMs = max(lastSeenMs, :nowMs)
    RETURNING id`,
  supersede: `UPDATE records SET role = 2 WHERE device = ? AND epoch = ? AND seq = ? AND digest = ? AND role < 2`,
  addRecord: `
    INSERT INTO records (device, epoch, seq, role, digest, prev, kind, stream, start, length, reason, sha256, hasBody,
      blob, blobOffset, blobBytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT id FROM blobs WHERE key = ?), ?, ?)`,
  streams: `SELECT s.*, (SELECT count(*) FROM records r WHERE r.stream = s.id AND r.role = 1) AS forks
    FROM streams s WHERE s.device = coalesce(?, s.device) ORDER BY s.device, s.firstEpoch, s.firstSeq, s.id`,
  contentHash: 'SELECT hashedRecords, hashedSha256 FROM streams WHERE device = ? AND stream = ?',
  keepContentHash: 'UPDATE streams SET hashedRecords = ?, hashedSha256 = ? WHERE device = ? AND stream = ?',
  setting: 'SELECT value FROM settings WHERE name = ?',
  keepSetting:
    'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  checkup: 'PRAGMA integrity_check',
} as const

/** The embedded catalog: one SQLite file, shared between the server and the admin commands. */
export class SqliteCatalog implements Catalog {
  readonly #database: DatabaseSync
  readonly #prepared = new Map<keyof typeof queries, StatementSync>()

  private constructor(database: DatabaseSync) {
    this.#database = database
  }

  /** Opens the catalog, and makes it where there is none. */
  static open(file: string): SqliteCatalog {
    return guarded(() => {
      const database = new DatabaseSync(file, { timeout: busyTimeoutMs })
      const catalog = new SqliteCatalog(database)
      catalog.#prepare()
      return catalog
    })
  }

  #prepare(): void {
    // FULL: in WAL mode a commit is on the disk before it returns only with this.
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
    const version = this.#database.prepare('PRAGMA user_version').get()?.['user_version']
    if (version === schemaVersion) return
    if (version !== 0) throw serverFault('CATALOG_DAMAGED', `the catalog is of version ${String(version)}`)
    this.#transact(() => this.#database.exec(`${schema}; PRAGMA user_version = ${schemaVersion}`))
  }

  async addDevice(device: DeviceId, key: PublicKey, nowMs: number): Promise<Registration> {
    return this.#transact(() => {
      const known = this.#device(device)
      if (!known) {
        this.#run('addDevice', device, key.bytes, nowMs)
        return 'added'
      }
      if (!equalBytes(known.key.bytes, key.bytes)) return 'otherKey'
      return known.revokedMs === null ? 'known' : 'revoked'
    })
  }

  async revokeDevice(device: DeviceId, nowMs: number): Promise<boolean> {
    return this.#run('revokeDevice', nowMs, device) > 0
  }

  async device(device: DeviceId): Promise<DeviceRow | undefined> {
    return this.#device(device)
  }

  #device(device: DeviceId): DeviceRow | undefined {
    const [row] = this.#all('device', device)
    return row && deviceRow(row)
  }

  async devices(): Promise<readonly DeviceRow[]> {
    return this.#all('devices').map(deviceRow)
  }

  async commit({ device, nowMs, blobs, records }: Commit): Promise<void> {
    this.#transact(() => {
      for (const { key, bytes } of blobs) this.#run('addBlob', key, bytes)
      for (const record of records) this.#add(record, nowMs)
      this.#run('seeDevice', nowMs, device)
    })
  }

  #add({ row, label, supersedes }: NewRecord, nowMs: number): void {
    const { device, epoch, seq, digest, prev, kind, offset, length, reason, sha256, hasBody, at } = row
    if (supersedes) this.#run('supersede', device, epoch, seq, digest)
    const labelEpoch = row.role === 'fork' ? -1 : epoch
    const shown = { path: logPathToBytes(label.path), tags: tagsToText(label.tags), labelEpoch }
    const [stream] = this.#allNamed('putStream', { device, stream: row.stream, epoch, seq, nowMs, ...shown })
    const place = [device, epoch, seq, roles.indexOf(row.role), digest, prev, kind, stream?.['id'] ?? null]
    const extent = [offset, length, reason, sha256, hasBody ? 1 : 0]
    this.#run('addRecord', ...place, ...extent, at.blob, at.offset, at.bytes)
  }

  async recordsAt(device: DeviceId, epoch: Epoch, seq: Sequence): Promise<readonly RecordRow[]> {
    return this.#all('recordsAt', device, epoch, seq).map(recordRow)
  }

  async *recordsOf(device: DeviceId, stream?: StreamId): AsyncGenerator<RecordRow, void, undefined> {
    const isAll = stream === undefined
    // Prepared anew: two iterations of one statement would disturb each other.
    const statement = guarded(() =>
      this.#database.prepare(isAll ? queries.recordsOfDevice : queries.recordsOfStream),
    )
    const rows = isAll ? statement.iterate(device) : statement.iterate(device, stream)
    for (;;) {
      const next = guarded(() => rows.next())
      if (next.done) return
      yield recordRow(next.value)
    }
  }

  async recordsIn(blob: BlobKey): Promise<readonly RecordRow[]> {
    return this.#all('recordsIn', blob).map(recordRow)
  }

  async hasBlob(key: BlobKey): Promise<boolean> {
    return this.#all('blob', key).length > 0
  }

  async *blobs(): AsyncGenerator<Pick<BlobInfo, 'key' | 'bytes'>, void, undefined> {
    let last = ''
    for (;;) {
      const page = this.#all('blobs', last).map(blobRow)
      if (page.length === 0) return
      yield* page
      const end = page.at(-1)?.key ?? ''
      // In a damaged index it may not be: that must not go on for ever.
      if (end <= last) throw serverFault('CATALOG_DAMAGED', 'the catalog has its blobs out of order')
      last = end
    }
  }

  async streams(device?: DeviceId): Promise<readonly StreamRow[]> {
    return this.#all('streams', device ?? null).map(streamRow)
  }

  async contentHash(device: DeviceId, stream: StreamId): Promise<ContentHash | undefined> {
    const [row] = this.#all('contentHash', device, stream)
    const sha256 = parseDigest(row?.['hashedSha256'])
    return sha256 && { records: Number(row?.['hashedRecords']), sha256 }
  }

  async keepContentHash(device: DeviceId, stream: StreamId, hash: ContentHash): Promise<void> {
    this.#run('keepContentHash', hash.records, hash.sha256, device, stream)
  }

  async setting(name: SettingName): Promise<string | undefined> {
    const value = this.#all('setting', name)[0]?.['value']
    return typeof value === 'string' ? value : undefined
  }

  async keepSetting(name: SettingName, value: string): Promise<void> {
    this.#run('keepSetting', name, value)
  }

  async checkup(): Promise<readonly string[]> {
    return this.#all('checkup')
      .map((row) => String(row['integrity_check']))
      .filter((line) => line !== 'ok')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close()
  }

  /** All or nothing; takes the write lock at once, so that what it read stays true. */
  #transact<T>(work: () => T): T {
    return guarded(() => {
      this.#database.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        this.#database.exec('COMMIT')
        return result
      } catch (error) {
        // SQLite has rolled back by itself where the disk was full.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
        throw error
      }
    })
  }

  #statement(name: keyof typeof queries): StatementSync {
    const known = this.#prepared.get(name)
    if (known) return known
    const statement = this.#database.prepare(queries[name])
    this.#prepared.set(name, statement)
    return statement
  }

  #run(name: keyof typeof queries, ...values: SQLInputValue[]): number {
    return guarded(() => Number(this.#statement(name).run(...values).changes))
  }

  #all(name: keyof typeof queries, ...values: SQLInputValue[]): Row[] {
    return guarded(() => this.#statement(name).all(...values))
  }

  #allNamed(name: keyof typeof queries, values: Record<string, SQLInputValue>): Row[] {
    return guarded(() => this.#statement(name).all(values))
  }
}

/** SQLite's primary result codes (sqlite.org/rescode.html), and what each means to whoever asked. */
const faultOfResult: Record<number, FaultCode> = {
  1: 'CATALOG_DAMAGED', // ERROR: the statements are fixed, so it is the tables that are not
  3: 'STORE_UNWRITABLE', // PERM
  5: 'CATALOG_BUSY',
  6: 'CATALOG_BUSY', // LOCKED
  8: 'STORE_UNWRITABLE', // READONLY
  10: 'STORE_UNWRITABLE', // IOERR
  11: 'CATALOG_DAMAGED', // CORRUPT
  13: 'STORE_FULL',
  14: 'STORE_UNWRITABLE', // CANTOPEN
  26: 'CATALOG_DAMAGED', // NOTADB
}

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    const code = cause instanceof Fault ? undefined : faultOf(cause)
    if (!code) throw cause
    throw serverFault(code, `the catalog fails: ${cause instanceof Error ? cause.message : ''}`, { cause })
  }
}

function faultOf(error: unknown): FaultCode | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  // A number that no double holds was not written by this program.
  if (error.code === 'ERR_OUT_OF_RANGE') return 'CATALOG_DAMAGED'
  return 'errcode' in error ? faultOfResult[Number(error.errcode) & 0xff] : undefined
}
