import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import {
  equalBytes,
  parseDigest,
  type DeviceId,
  type Digest,
  type Epoch,
  type Sequence,
  type StreamId,
} from '../../protocol/ids.ts'
import { logPathToBytes, type LogPath } from '../../protocol/log-path.ts'
import type { Clock } from '../clock.ts'
import { serverFault } from '../faults.ts'
import type { BlobInfo, BlobKey } from '../store/blob-store.ts'
import {
  roles,
  type Catalog,
  type Commit,
  type DeviceRow,
  type NewRecord,
  type RecordRow,
  type Registration,
  type SettingName,
  type StreamRow,
} from './catalog.ts'
import { busyTimeoutMs, connecting, connectingToRead, type Connect } from './connect.ts'
import { fileAt } from './file-at.ts'
import { makeSchema } from './make-schema.ts'
import { guarded, isBusy } from './sqlite-faults.ts'
import { queries } from './sqlite-queries.ts'
import {
  blobRow,
  deviceRow,
  deviceValues,
  recordRow,
  soundDeviceRows,
  streamRow,
  tagsToText,
  type Row,
} from './sqlite-rows.ts'
import { inTransaction } from './sqlite-transaction.ts'

/** SQLite waits on this thread: so only this long, and the rest between tries, in which the server answers others. */
const blockingMs = 50
const pauseMs = 50

const withKey = (key: PublicKey, rows: readonly DeviceRow[]): DeviceRow[] =>
  rows.filter((row) => equalBytes(row.key.bytes, key.bytes))

/** The embedded catalog: one SQLite file, shared between the server and the admin commands. */
export class SqliteCatalog implements Catalog {
  readonly #file: string
  readonly #clock: Clock
  readonly #connect: Connect
  readonly #database: DatabaseSync
  /** Which file was opened: one that was removed or unmounted since can still be read and written, and is lost. */
  #opened: string | undefined
  readonly #prepared = new Map<keyof typeof queries, StatementSync>()

  private constructor(file: string, clock: Clock, connect: Connect) {
    this.#file = file
    this.#clock = clock
    this.#connect = connect
    this.#database = connect()
  }

  /** Opens the catalog, and makes it where there is none. */
  static open(file: string, clock: Clock): SqliteCatalog {
    return guarded(() => {
      const catalog = new SqliteCatalog(file, clock, connecting(file))
      // FULL: in WAL mode a commit is on the disk before it returns only with this.
      catalog.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
      return catalog.#ready()
    })
  }

  /** Opens one that is there, and beside which nothing can be written. What would change it throws STORE_UNWRITABLE. */
  static openToRead(file: string, clock: Clock): SqliteCatalog {
    return guarded(() => new SqliteCatalog(file, clock, connectingToRead(file)).#ready())
  }

  #ready(): this {
    makeSchema(this.#database)
    this.#opened = fileAt(this.#file)
    this.#database.exec(`PRAGMA busy_timeout = ${blockingMs}`)
    return this
  }

  async snapshot(): Promise<SqliteCatalog> {
    return guarded(() => {
      const catalog = new SqliteCatalog(this.#file, this.#clock, this.#connect)
      // The transaction sees the state that its first read finds, until the connection is closed.
      catalog.#database.exec('PRAGMA query_only = ON; BEGIN; SELECT count(*) FROM settings')
      catalog.#opened = this.#opened
      return catalog
    })
  }

  async addDevice(device: DeviceId, key: PublicKey, nowMs: number): Promise<Registration> {
    return this.#transact(() => {
      const known = this.#device(device)
      if (known && !equalBytes(known.key.bytes, key.bytes)) return 'otherKey'
      if (withKey(key, this.#devices()).some(({ revokedMs }) => revokedMs !== null)) return 'revoked'
      if (known) return 'known'
      this.#putDevice({ device, key, addedMs: nowMs, revokedMs: null, lastSeenMs: null })
      return 'added'
    })
  }

  async revokeDevice(device: DeviceId, nowMs: number): Promise<boolean> {
    return this.#transact(() => {
      const known = this.#device(device)
      for (const row of known ? withKey(known.key, this.#soundDevices()) : [])
        this.#putDevice({ ...row, revokedMs: row.revokedMs ?? nowMs })
      return known !== undefined
    })
  }

  async device(device: DeviceId): Promise<DeviceRow | undefined> {
    return this.#device(device)
  }

  #device(device: DeviceId): DeviceRow | undefined {
    const [row] = this.#all('device', device)
    return row && deviceRow(row)
  }

  #putDevice(row: DeviceRow): void {
    this.#run('putDevice', ...deviceValues(row))
  }

  #devices(): DeviceRow[] {
    return this.#all('devices').map(deviceRow)
  }

  #soundDevices(): DeviceRow[] {
    return soundDeviceRows(this.#all('devices'))
  }

  async devices(): Promise<readonly DeviceRow[]> {
    return this.#devices()
  }

  async soundDevices(): Promise<readonly DeviceRow[]> {
    return this.#soundDevices()
  }

  async commit({ device, nowMs, blobs, records, lost = [] }: Commit): Promise<void> {
    await this.#transact(() => {
      for (const { key, bytes } of blobs) this.#run('addBlob', key, bytes)
      for (const record of records) this.#add(record, nowMs)
      for (const key of lost) this.#forget(key)
      const known = this.#device(device)
      if (known) this.#putDevice({ ...known, lastSeenMs: nowMs })
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

  #forget(lost: BlobKey): void {
    this.#run('forgetSuperseded', lost)
    this.#run('forgetEmpty', lost)
  }

  async recordsAt(device: DeviceId, epoch: Epoch, seq: Sequence): Promise<readonly RecordRow[]> {
    return this.#all('recordsAt', device, epoch, seq).map(recordRow)
  }

  recordsOf(device: DeviceId, stream?: StreamId): AsyncIterable<RecordRow> {
    if (stream === undefined) return this.#records('recordsOfDevice', device)
    return this.#records('recordsOfStream', device, stream)
  }

  everyRecordOf(device: DeviceId): AsyncIterable<RecordRow> {
    return this.#records('everyRecordOfDevice', device)
  }

  async *#records(
    query: keyof typeof queries,
    ...values: SQLInputValue[]
  ): AsyncGenerator<RecordRow, void, undefined> {
    // Prepared anew: two iterations of one statement would disturb each other.
    const rows = guarded(() => this.#database.prepare(queries[query]).iterate(...values))
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

  async streamsAt(device: DeviceId, path: LogPath, most: number): Promise<readonly StreamRow[]> {
    return this.#all('streamsAt', device, logPathToBytes(path), most).map(streamRow)
  }

  async contentProof(device: DeviceId, stream: StreamId): Promise<Digest | undefined> {
    return parseDigest(this.#all('contentProof', device, stream)[0]?.['hashedSha256'])
  }

  async keepContentProof(device: DeviceId, stream: StreamId, proof: Digest): Promise<void> {
    await this.#transact(() => this.#run('keepContentProof', proof, device, stream))
  }

  async setting(name: SettingName): Promise<string | undefined> {
    const value = this.#all('setting', name)[0]?.['value']
    return typeof value === 'string' ? value : undefined
  }

  async keepSetting(name: SettingName, value: string): Promise<void> {
    await this.#transact(() => this.#run('keepSetting', name, value))
  }

  async checkup(): Promise<readonly string[]> {
    const lines = this.#all('checkup').map((row) => String(row['integrity_check']))
    const dangling = this.#all('dangling').map(
      ({ table, rowid, parent }) =>
        `row ${String(rowid)} of ${String(table)} refers to ${String(parent)} that are not there`,
    )
    return [...lines.filter((line) => line !== 'ok'), ...dangling]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close()
  }

  /** All or nothing. While another process holds the write lock it is tried again, off this thread. */
  async #transact<T>(work: () => T): Promise<T> {
    const lastTryMs = this.#clock.monotonicMs() + busyTimeoutMs
    for (;;) {
      try {
        return guarded(() => inTransaction(this.#database, work))
      } catch (error) {
        if (!isBusy(error) || this.#clock.monotonicMs() >= lastTryMs) throw error
        await this.#clock.sleep(pauseMs, new AbortController().signal)
      }
    }
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
    const rows = guarded(() => this.#statement(name).all(...values))
    this.#checkPlace()
    return rows
  }

  /** No receipt follows from a catalog that does not stand at its path any more. Each commit reads before it ends, too. */
  #checkPlace(): void {
    if (fileAt(this.#file) !== this.#opened)
      throw serverFault('STORE_UNWRITABLE', `${this.#file} was removed, replaced or unmounted`)
  }

  #allNamed(name: keyof typeof queries, values: Record<string, SQLInputValue>): Row[] {
    return guarded(() => this.#statement(name).all(values))
  }
}
