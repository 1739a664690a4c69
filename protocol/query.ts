import { decodeCbor, encodeCbor, type CborMap, type CborValue } from './cbor.ts'
import { limits } from './contract.ts'
import { keyIdOfEnvelope, scanEnvelope, signEnvelope, verifyEnvelope } from './cose.ts'
import type { PublicKey, Signer } from './ed25519-policy.ts'
import {
  hex,
  parseDeviceId,
  parseDigest,
  parseEpoch,
  parseSequence,
  sha256,
  type DeviceId,
  type Digest,
  type Epoch,
  type KeyId,
  type Sequence,
} from './ids.ts'
import { isLogPath, type LogPath } from './log-path.ts'
import { accept, refuse, type Verdict } from './refusal.ts'

/** A record as a query names it: its place in the chain, and the SHA-256 of its manifest. */
export interface RecordName {
  readonly epoch: Epoch
  readonly seq: Sequence
  readonly digest: Digest
}

/** Asks which of these records the server holds. The answer is a receipt: what it says is as true whenever it was given. */
export interface RecordQuery {
  readonly asks: 'records'
  readonly device: DeviceId
  /** 16 bytes, new for each query, where it is to mean something that a record is not in the answer. */
  readonly nonce?: Uint8Array
  /** 1 to 4096, none twice. */
  readonly records: readonly RecordName[]
}

/** Asks what the server holds of the files at these paths. */
export interface StreamQuery {
  readonly asks: 'streams'
  readonly device: DeviceId
  /** 16 bytes, new for each query: what was answered to another one is no answer to it. */
  readonly nonce: Uint8Array
  /** 1 to 64, none twice. */
  readonly paths: readonly LogPath[]
}

export type Query = RecordQuery | StreamQuery

export const nonceBytes = 16

const version = 1
const kinds = { records: 0, streams: 1 } as const
const key = { version: 0, kind: 1, device: 2, records: 3, nonce: 4, paths: 5 } as const

export interface SignedQuery {
  /** One COSE_Sign1 by the device's key, as it is sent. */
  readonly bytes: Uint8Array
  /** SHA-256 of its payload, by which an answer names it. */
  readonly digest: Digest
}

/** The query, signed with its device's key, and the digest by which the answer names it. */
export function signQuery(query: Query, signer: Signer): SignedQuery {
  const payload = encodeCbor(
    new Map<number, CborValue>([
      [key.version, version],
      [key.kind, kinds[query.asks]],
      [key.device, query.device],
      ...ownFields(query),
    ]),
  )
  return { bytes: signEnvelope(payload, 'logbox-query', signer), digest: sha256(payload) }
}

function ownFields(query: Query): [number, CborValue][] {
  const nonce: [number, CborValue][] = query.nonce ? [[key.nonce, query.nonce]] : []
  if (query.asks === 'records') return [[key.records, query.records.map(encodeName)], ...nonce]
  return [...nonce, [key.paths, query.paths]]
}

const encodeName = ({ epoch, seq, digest }: RecordName): CborValue => [epoch, seq, digest]

/** What a query says of itself. Nothing of it is proven before `isSignedBy` says so of a key that the device has. */
export interface ClaimedQuery<Q extends Query = Query> {
  readonly query: Q
  readonly keyId: KeyId
  readonly digest: Digest
  readonly isSignedBy: (deviceKey: PublicKey) => boolean
}

/** Reads a query. Never throws, whatever the bytes: what is not exactly one is QUERY_INVALID. */
export function readQuery(bytes: Uint8Array): Verdict<ClaimedQuery> {
  const scan = scanEnvelope(bytes, 0, limits.maxQueryBytes)
  if (scan.is !== 'whole' || scan.end !== bytes.length) return refuse('QUERY_INVALID')
  const { envelope } = scan
  const keyId = keyIdOfEnvelope(envelope, 'logbox-query')
  const fields = decodeCbor(envelope.payload)
  const query = fields instanceof Map ? parseQuery(fields) : undefined
  if (!keyId.ok || !query) return refuse('QUERY_INVALID')
  return accept({
    query,
    keyId: keyId.value,
    digest: sha256(envelope.payload),
    isSignedBy: (deviceKey) => verifyEnvelope(envelope, deviceKey),
  })
}

function parseQuery(fields: CborMap): Query | undefined {
  const name: unknown = fields.get(key.device)
  const device = typeof name === 'string' ? parseDeviceId(name) : undefined
  if (fields.get(key.version) !== version || device === undefined) return undefined
  switch (fields.get(key.kind)) {
    case kinds.records:
      return parseRecordQuery(fields, device)
    case kinds.streams:
      return fields.size === 5 ? parseStreamQuery(fields, device) : undefined
    default:
      return undefined
  }
}

function parseRecordQuery(fields: CborMap, device: DeviceId): RecordQuery | undefined {
  const records = listOf(fields.get(key.records), limits.maxBatchRecords, parseName)
  if (!records || hasTwice(records.map(({ digest }) => digest))) return undefined
  if (fields.size === 4) return { asks: 'records', device, records }
  const nonce = parseNonce(fields)
  return fields.size === 5 && nonce ? { asks: 'records', device, nonce, records } : undefined
}

function parseStreamQuery(fields: CborMap, device: DeviceId): StreamQuery | undefined {
  const nonce = parseNonce(fields)
  const paths = listOf(fields.get(key.paths), limits.maxQueryPaths, parsePath)
  if (!nonce || !paths) return undefined
  if (hasTwice(paths.map((path) => (typeof path === 'string' ? Buffer.from(path) : path)))) return undefined
  return { asks: 'streams', device, nonce, paths }
}

function parseNonce(fields: CborMap): Uint8Array | undefined {
  const nonce: unknown = fields.get(key.nonce)
  return nonce instanceof Uint8Array && nonce.length === nonceBytes ? nonce : undefined
}

/** 1 to `max` items, each of which is good. */
function listOf<T>(value: unknown, max: number, parse: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > max) return undefined
  const items = value.map(parse).filter((item) => item !== undefined)
  return items.length === value.length ? items : undefined
}

/** A question that repeats itself is cheap to ask and dear to answer. */
function hasTwice(items: readonly Uint8Array[]): boolean {
  return new Set(items.map(hex)).size < items.length
}

function parseName(value: unknown): RecordName | undefined {
  if (!Array.isArray(value) || value.length !== 3) return undefined
  const [epochField, seqField, digestField]: unknown[] = value
  const epoch = parseEpoch(epochField)
  const seq = parseSequence(seqField)
  const digest = parseDigest(digestField)
  return epoch === undefined || seq === undefined || !digest ? undefined : { epoch, seq, digest }
}

const parsePath = (value: unknown): LogPath | undefined => (isLogPath(value) ? value : undefined)
