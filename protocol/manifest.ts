import { decodeCbor, encodeCbor, type CborMap, type CborValue } from './cbor.ts'
import type { StreamLabel, Tags } from './chunk.ts'
import { limits } from './contract.ts'
import {
  isCount,
  parseByteOffset,
  parseDeviceId,
  parseDigest,
  parseEpoch,
  parseSequence,
  streamIdFrom,
  streamIdToBytes,
  type ByteOffset,
  type DeviceId,
  type Digest,
  type Epoch,
  type Sequence,
} from './ids.ts'
import { isLogPath } from './log-path.ts'
import { accept, refuse, type Verdict } from './refusal.ts'

export const clockStates = ['unset', 'set', 'synchronized'] as const
/** What the drone knew of its wall clock: before any plausible date, plausible, or set by a time service. */
export type ClockState = (typeof clockStates)[number]

export const encodings = ['identity', 'zstd'] as const
export type Encoding = (typeof encodings)[number]

export const lossReasons = ['truncated', 'deleted', 'overwritten', 'unreadable', 'evicted'] as const
export type LossReason = (typeof lossReasons)[number]

/** A label, never an order and never a reason to refuse: many drones have no clock before GPS or NTP sets it. */
export interface RecordTime {
  readonly wallMs: number
  readonly monotonicMs: number
  /** 16 bytes, new at every boot: monotonic times compare only within one. */
  readonly bootId: Uint8Array
  readonly clockState: ClockState
}

/** The place of a record in its device's chain. */
export interface ChainPlace {
  readonly device: DeviceId
  readonly epoch: Epoch
  readonly seq: Sequence
  /** SHA-256 of the manifest before it; 32 zero bytes at seq 0. */
  readonly prev: Digest
}

interface Common extends ChainPlace, StreamLabel {
  readonly time: RecordTime
}

/** `length` bytes that stood in the file at `offset`. */
export interface DataManifest extends Common {
  readonly kind: 'data'
  readonly offset: ByteOffset
  /** At least 1. */
  readonly length: number
  readonly sha256: Digest
  readonly encoding: Encoding
  readonly bodyLength: number
  readonly bodySha256: Digest
}

/** Bytes known to have been there and never read. */
export interface LossManifest extends Common {
  readonly kind: 'loss'
  readonly offset: ByteOffset
  /** null: nobody knows how many. */
  readonly length: number | null
  readonly reason: LossReason
}

/** The file ended: its whole length and hash. */
export interface CloseManifest extends Common {
  readonly kind: 'close'
  readonly length: number
  readonly sha256: Digest
}

export type Manifest = DataManifest | LossManifest | CloseManifest

/** The version of the format, in every manifest. */
const version = 1
const kinds = { data: 0, loss: 1, close: 2 } as const
const bootIdBytes = 16
const maxTagNameBytes = 64

/** The keys of a manifest's map. 20 to 23 are free; kind 3 is kept for a change of the device's key. */
const key = {
  version: 0,
  kind: 1,
  device: 2,
  epoch: 3,
  seq: 4,
  prev: 5,
  wallMs: 6,
  monotonicMs: 7,
  bootId: 8,
  clockState: 9,
  stream: 10,
  path: 11,
  offset: 12,
  length: 13,
  sha256: 14,
  encoding: 15,
  bodyLength: 16,
  bodySha256: 17,
  tags: 18,
  reason: 19,
} as const

/** The manifest's one encoding; its SHA-256 is the record's digest. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return encodeCbor(new Map([...commonFields(manifest), ...ownFields(manifest)]))
}

function commonFields(manifest: Manifest): [number, CborValue][] {
  return [
    [key.version, version],
    [key.kind, kinds[manifest.kind]],
    [key.device, manifest.device],
    [key.epoch, manifest.epoch],
    [key.seq, manifest.seq],
    [key.prev, manifest.prev],
    [key.wallMs, manifest.time.wallMs],
    [key.monotonicMs, manifest.time.monotonicMs],
    [key.bootId, manifest.time.bootId],
    [key.clockState, clockStates.indexOf(manifest.time.clockState)],
    [key.stream, streamIdToBytes(manifest.stream)],
    [key.path, manifest.path],
    [key.tags, manifest.tags],
  ]
}

function ownFields(manifest: Manifest): [number, CborValue][] {
  switch (manifest.kind) {
    case 'data':
      return [
        [key.offset, manifest.offset],
        [key.length, manifest.length],
        [key.sha256, manifest.sha256],
        [key.encoding, encodings.indexOf(manifest.encoding)],
        [key.bodyLength, manifest.bodyLength],
        [key.bodySha256, manifest.bodySha256],
      ]
    case 'loss':
      return [
        [key.offset, manifest.offset],
        [key.length, manifest.length],
        [key.reason, manifest.reason],
      ]
    case 'close':
      return [
        [key.length, manifest.length],
        [key.sha256, manifest.sha256],
      ]
  }
}

const fieldCounts: Record<Manifest['kind'], number> = { data: 19, loss: 16, close: 15 }

/** The manifest that `bytes` encode, checked to the last field. Never throws. */
export function decodeManifest(bytes: Uint8Array): Verdict<Manifest> {
  if (bytes.length > limits.maxManifestBytes) return refuse('RECORD_TOO_LARGE')
  const fields = decodeCbor(bytes)
  if (!(fields instanceof Map)) return refuse('MANIFEST_MALFORMED')
  const manifest = parseManifest(fields as CborMap)
  return manifest ? accept(manifest) : refuse('MANIFEST_INVALID')
}

function parseManifest(fields: CborMap): Manifest | undefined {
  const common = parseCommon(fields)
  const manifest = common && parseOwn(fields, common)
  // Every field of the kind was found, so an equal count means that there is no other.
  return manifest && fields.size === fieldCounts[manifest.kind] ? manifest : undefined
}

function parseCommon(fields: CborMap): Common | undefined {
  if (fields.get(key.version) !== version) return undefined
  const device = parseDeviceId(textOf(fields.get(key.device)))
  const epoch = parseEpoch(fields.get(key.epoch))
  const seq = parseSequence(fields.get(key.seq))
  const prev = parseDigest(fields.get(key.prev))
  const time = parseTime(fields)
  const stream = streamIdFrom(bytesOf(fields.get(key.stream)))
  const path = fields.get(key.path)
  const tags = parseTags(fields.get(key.tags))
  if (device === undefined || epoch === undefined || seq === undefined || !prev || !time) return undefined
  if (stream === undefined || !isLogPath(path) || !tags) return undefined
  return { device, epoch, seq, prev, time, stream, path, tags }
}

function parseOwn(fields: CborMap, common: Common): Manifest | undefined {
  switch (fields.get(key.kind)) {
    case kinds.data:
      return parseData(fields, common)
    case kinds.loss:
      return parseLoss(fields, common)
    case kinds.close:
      return parseClose(fields, common)
    default:
      return undefined
  }
}

function parseData(fields: CborMap, common: Common): DataManifest | undefined {
  const offset = parseByteOffset(fields.get(key.offset))
  const length = fields.get(key.length)
  const sha256 = parseDigest(fields.get(key.sha256))
  const encoding = encodings[countOf(fields.get(key.encoding))]
  const bodyLength = fields.get(key.bodyLength)
  const bodySha256 = parseDigest(fields.get(key.bodySha256))
  if (offset === undefined || !sha256 || encoding === undefined || !bodySha256) return undefined
  if (!isCount(length) || length < 1 || length > limits.maxChunkBytes) return undefined
  if (!isCount(bodyLength) || bodyLength < 1 || bodyLength > length) return undefined
  if (encoding === 'identity' && bodyLength !== length) return undefined
  if (!isCount(offset + length)) return undefined
  return { kind: 'data', ...common, offset, length, sha256, encoding, bodyLength, bodySha256 }
}

function parseLoss(fields: CborMap, common: Common): LossManifest | undefined {
  const offset = parseByteOffset(fields.get(key.offset))
  const length = fields.get(key.length)
  const reason = lossReasons.find((known) => known === fields.get(key.reason))
  if (offset === undefined || reason === undefined) return undefined
  if (length !== null && !(isCount(length) && length > 0 && isCount(offset + length))) return undefined
  return { kind: 'loss', ...common, offset, length, reason }
}

function parseClose(fields: CborMap, common: Common): CloseManifest | undefined {
  const length = fields.get(key.length)
  const sha256 = parseDigest(fields.get(key.sha256))
  return isCount(length) && sha256 ? { kind: 'close', ...common, length, sha256 } : undefined
}

function parseTime(fields: CborMap): RecordTime | undefined {
  const wallMs = fields.get(key.wallMs)
  const monotonicMs = fields.get(key.monotonicMs)
  const bootId = bytesOf(fields.get(key.bootId))
  const clockState = clockStates[countOf(fields.get(key.clockState))]
  if (!isCount(wallMs) || !isCount(monotonicMs) || bootId.length !== bootIdBytes) return undefined
  return clockState && { wallMs, monotonicMs, bootId, clockState }
}

function parseTags(value: unknown): Tags | undefined {
  return value instanceof Map && areTags(value) ? value : undefined
}

/** Whether these are text under names of 1 to 64 bytes, and 1 KiB in all. */
export function areTags(tags: ReadonlyMap<unknown, unknown>): tags is Tags {
  for (const [name, value] of tags) {
    if (!isText(name) || !isText(value)) return false
    if (name === '' || Buffer.byteLength(name) > maxTagNameBytes) return false
  }
  return encodeCbor(tags as Tags).length <= limits.maxTagsBytes
}

/** A lone surrogate has no UTF-8, and would arrive as another character. */
const isText = (value: unknown): value is string => typeof value === 'string' && value.isWellFormed()
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const bytesOf = (value: unknown): Uint8Array => (value instanceof Uint8Array ? value : new Uint8Array(0))
const countOf = (value: unknown): number => (isCount(value) ? value : -1)
