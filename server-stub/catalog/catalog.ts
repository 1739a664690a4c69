import type { Tags } from '../../protocol/chunk.ts'
import type { ByteOffset, DeviceId, Digest, Epoch, Sequence, StreamId } from '../../protocol/ids.ts'
import type { LogPath } from '../../protocol/log-path.ts'
import type { LossReason, Manifest } from '../../protocol/manifest.ts'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import type { BlobInfo, BlobKey } from '../store/blob-store.ts'

export interface DeviceRow {
  readonly device: DeviceId
  readonly key: PublicKey
  readonly addedMs: number
  readonly revokedMs: number | null
  /** When something new of it was last stored. */
  readonly lastSeenMs: number | null
}

/** What a record's manifest says, but for its label and the hashes of its bytes. */
export interface RecordFacts {
  readonly device: DeviceId
  readonly epoch: Epoch
  readonly seq: Sequence
  readonly prev: Digest
  readonly digest: Digest
  readonly stream: StreamId
  readonly kind: Manifest['kind']
  /** 0 for a close. */
  readonly offset: ByteOffset
  readonly length: number | null
  readonly reason: LossReason | null
  /** Of the whole file, where this closes it. */
  readonly sha256: Digest | null
  /** Whether the log's bytes are here. */
  readonly hasBody: boolean
}

/**
 * first: it holds its place in the chain. fork: another held it before. superseded: an envelope without its body, which
 * came later in another record of the same manifest.
 */
export const roles = ['first', 'fork', 'superseded'] as const
export type Role = (typeof roles)[number]

/** Where the record's bytes stand. */
export interface Location {
  readonly blob: BlobKey
  readonly offset: number
  readonly bytes: number
}

export interface RecordRow extends RecordFacts {
  readonly role: Role
  readonly at: Location
}

export interface Label {
  readonly path: LogPath
  readonly tags: Tags
}

/** One generation of one file, labelled as its last record in the chain labels it. */
export interface StreamRow extends Label {
  readonly device: DeviceId
  readonly stream: StreamId
  /** Of its first record: generations of one path compare by it. */
  readonly firstEpoch: Epoch
  readonly firstSeq: Sequence
  readonly firstSeenMs: number
  readonly lastSeenMs: number
  readonly forks: number
}

export interface NewRecord {
  readonly row: RecordRow
  readonly label: Label
  /** Whether it brings the body that a record of the same manifest lacks. */
  readonly supersedes: boolean
}

/** All of one device that becomes known at once. */
export interface Commit {
  readonly device: DeviceId
  readonly nowMs: number
  readonly blobs: readonly Pick<BlobInfo, 'key' | 'bytes'>[]
  readonly records: readonly NewRecord[]
  /** Blobs that the store has no more: what is superseded in them is forgotten, and they with their last record. */
  readonly lost?: readonly BlobKey[]
}

/** revoked: the key is, under this name or another. */
export type Registration = 'added' | 'known' | 'otherKey' | 'revoked'

/**
 * What is known about the records; all of it but the devices can be rebuilt from them. Its methods are async so that a
 * database across a network fits. What fails is a Fault: STORE_FULL, STORE_UNWRITABLE, CATALOG_BUSY or
 * CATALOG_DAMAGED. test/conformance holds every implementation to this.
 */
export interface Catalog extends AsyncDisposable {
  addDevice(device: DeviceId, key: PublicKey, nowMs: number): Promise<Registration>
  /** Its key, so every name that has it. Whether there is such a device. Revoking twice keeps the first time. */
  revokeDevice(device: DeviceId, nowMs: number): Promise<boolean>
  device(device: DeviceId): Promise<DeviceRow | undefined>
  /** Throws CATALOG_DAMAGED where one of them is. */
  devices(): Promise<readonly DeviceRow[]>
  /** Without those that are damaged, so that one of them does not keep the others from being served. */
  soundDevices(): Promise<readonly DeviceRow[]>

  /** Durable once it resolves, and all or nothing. A second first record, or one manifest twice, is refused. */
  commit(commit: Commit): Promise<void>
  /** The record that holds this place, then its forks. */
  recordsAt(device: DeviceId, epoch: Epoch, seq: Sequence): Promise<readonly RecordRow[]>
  /** In order of (epoch, seq), without what was superseded; forks come after the first. */
  recordsOf(device: DeviceId, stream?: StreamId): AsyncIterable<RecordRow>
  /** The same of all its streams, with what was superseded. */
  everyRecordOf(device: DeviceId): AsyncIterable<RecordRow>
  /** In order of their offset. */
  recordsIn(blob: BlobKey): Promise<readonly RecordRow[]>

  hasBlob(key: BlobKey): Promise<boolean>
  /** In order of their keys. */
  blobs(): AsyncIterable<Pick<BlobInfo, 'key' | 'bytes'>>

  streams(device?: DeviceId): Promise<readonly StreamRow[]>
  /** Those that are labelled with this path, no more than `most`: the newest first. */
  streamsAt(device: DeviceId, path: LogPath, most: number): Promise<readonly StreamRow[]>
  /** What was last kept for a stream; query/content-proof.ts says what it means. */
  contentProof(device: DeviceId, stream: StreamId): Promise<Digest | undefined>
  keepContentProof(device: DeviceId, stream: StreamId, proof: Digest): Promise<void>

  setting(name: SettingName): Promise<string | undefined>
  keepSetting(name: SettingName, value: string): Promise<void>
  /** The catalog as it stands now, whatever is committed later: to be read only, and disposed of. */
  snapshot(): Promise<Catalog>
  /** What is wrong with the catalog itself, a line each. */
  checkup(): Promise<readonly string[]>
}

/** receiptKey: the public half, base64url. agrees: "yes" while every blob is known to be in the catalog. */
export type SettingName = 'receiptKey' | 'agrees'
