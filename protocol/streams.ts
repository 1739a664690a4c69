import { decodeCbor, encodeCbor, type CborMap, type CborValue } from './cbor.ts'
import { limits } from './contract.ts'
import { payloadSignedBy, signEnvelope } from './cose.ts'
import type { PublicKey, Signer } from './ed25519-policy.ts'
import {
  equalBytes,
  isCount,
  parseByteOffset,
  parseDeviceId,
  parseDigest,
  streamIdFrom,
  streamIdToBytes,
  type ByteOffset,
  type DeviceId,
  type Digest,
  type StreamId,
} from './ids.ts'
import { accept, refuse, type Verdict } from './refusal.ts'

/** Bytes of a file that one data record brought. */
export interface Range {
  readonly offset: ByteOffset
  /** At least 1. */
  readonly length: number
  /** Of the file's bytes. */
  readonly sha256: Digest
}

/** A stretch of a stream that is on the server without a gap, from its first range to the end of its last one. */
export interface Run {
  readonly first: Range
  /** The same as `first` where there is one only. Both stand in the content as their records brought them. */
  readonly last: Range
}

/** What the server holds of one generation of a file. */
export interface HeldStream {
  readonly stream: StreamId
  /** The place of its path in the query. */
  readonly path: number
  /** From the first byte that is there; null: no byte is. */
  readonly run: Run | null
  /** The length and hash that the drone closed it with; null where it did not, or wrote to it after that. */
  readonly closed: { readonly length: number; readonly sha256: Digest } | null
}

/** The answer to a query for streams. */
export interface HeldStreams {
  readonly device: DeviceId
  /** The server's wall clock. */
  readonly timeMs: number
  /** The digest of the query that it answers. */
  readonly query: Digest
  /** The newest of each path first. */
  readonly streams: readonly HeldStream[]
}

const version = 1
const key = { version: 0, device: 1, timeMs: 2, query: 3, streams: 4 } as const

/** The signed answer: one COSE_Sign1 by the server's key. */
export function signStreams(answer: HeldStreams, signer: Signer): Uint8Array {
  const payload = encodeCbor(
    new Map<number, CborValue>([
      [key.version, version],
      [key.device, answer.device],
      [key.timeMs, answer.timeMs],
      [key.query, answer.query],
      [key.streams, answer.streams.map(encodeStream)],
    ]),
  )
  return signEnvelope(payload, 'logbox-streams', signer)
}

function encodeStream({ stream, path, run, closed }: HeldStream): CborValue {
  const ranges = [run ? encodeRange(run.first) : null, run ? encodeRange(run.last) : null]
  return [streamIdToBytes(stream), path, ...ranges, closed ? [closed.length, closed.sha256] : null]
}

const encodeRange = ({ offset, length, sha256 }: Range): CborValue => [offset, length, sha256]

/** What an answer must be about. */
export interface Asked {
  readonly device: DeviceId
  /** Of the query. */
  readonly digest: Digest
  /** How many the query had. */
  readonly paths: number
}

/**
 * The answer in `bytes`, if one of the pinned keys signed it for this query of this device. Never throws: anything else,
 * such as the answer to an earlier query, is STREAMS_INVALID.
 */
export function verifyStreams(
  bytes: Uint8Array,
  pinned: readonly PublicKey[],
  asked: Asked,
): Verdict<HeldStreams> {
  const payload = payloadSignedBy(pinned, bytes, 'logbox-streams', limits.maxStreamsBytes)
  const fields = payload && decodeCbor(payload)
  const answer = fields instanceof Map ? parseAnswer(fields) : undefined
  return answer && isAbout(answer, asked) ? accept(answer) : refuse('STREAMS_INVALID')
}

function isAbout(answer: HeldStreams, asked: Asked): boolean {
  if (answer.device !== asked.device || !equalBytes(answer.query, asked.digest)) return false
  return answer.streams.every(({ path }) => path < asked.paths)
}

function parseAnswer(fields: CborMap): HeldStreams | undefined {
  if (fields.size !== 5 || fields.get(key.version) !== version) return undefined
  const name: unknown = fields.get(key.device)
  const device = typeof name === 'string' ? parseDeviceId(name) : undefined
  const timeMs: unknown = fields.get(key.timeMs)
  const query = parseDigest(fields.get(key.query))
  const list: unknown = fields.get(key.streams)
  if (device === undefined || !isCount(timeMs) || !query || !Array.isArray(list)) return undefined
  const streams = list.map(parseStream).filter((stream) => stream !== undefined)
  const isGood = streams.length === list.length && list.length <= limits.maxAnswerStreams
  return isGood ? { device, timeMs, query, streams } : undefined
}

function parseStream(value: unknown): HeldStream | undefined {
  if (!Array.isArray(value) || value.length !== 5) return undefined
  const [idField, path, firstField, lastField, closedField]: unknown[] = value
  const stream = idField instanceof Uint8Array ? streamIdFrom(idField) : undefined
  const run = firstField === null && lastField === null ? null : parseRun(firstField, lastField)
  const closed = closedField === null ? null : parseClosed(closedField)
  if (stream === undefined || !isCount(path) || run === undefined || closed === undefined) return undefined
  return { stream, path, run, closed }
}

function parseRun(firstField: unknown, lastField: unknown): Run | undefined {
  const first = parseRange(firstField)
  const last = parseRange(lastField)
  return first && last && first.offset <= last.offset ? { first, last } : undefined
}

function parseRange(value: unknown): Range | undefined {
  if (!Array.isArray(value) || value.length !== 3) return undefined
  const [offsetField, length, digestField]: unknown[] = value
  const offset = parseByteOffset(offsetField)
  const sha256 = parseDigest(digestField)
  if (offset === undefined || !sha256 || !isCount(length)) return undefined
  if (length < 1 || length > limits.maxChunkBytes || !isCount(offset + length)) return undefined
  return { offset, length, sha256 }
}

function parseClosed(value: unknown): HeldStream['closed'] | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined
  const [length, digestField]: unknown[] = value
  const sha256 = parseDigest(digestField)
  return isCount(length) && sha256 ? { length, sha256 } : undefined
}
