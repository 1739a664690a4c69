import type { ChainHead } from '../../protocol/chain.ts'
import {
  base64url,
  digestBytes,
  isCount,
  parseBase64url,
  parseEpoch,
  parseSequence,
  parseStreamId,
  type DeviceId,
  type Digest,
  type Epoch,
  type Sequence,
  type StreamId,
} from '../../protocol/ids.ts'
import { lanes, type Lane } from './lane.ts'
import { parseObject } from './resume-point.ts'
import type { Extent } from './segment-log.ts'

/** The keys of LevelDB. */
export const keys = {
  /** Whose records these are: the device and its key's id. */
  owner: 'owner',
  /** The chain's head. */
  head: 'head',
  /** How many records were ever taken in, and taken out again: the difference must be here. */
  added: 'added',
  removed: 'removed',
  /** The segments whose records were taken in. */
  segments: 'segment/',
  /** Of each lane: before this place all that was taken in has its receipt, or is set aside. */
  marks: 'acknowledged/',
  /** The same, by an agent that had one lane. */
  oldMark: 'acknowledged',
  aside: 'aside/',
  resumePoints: 'resume/',
  receipted: 'receipted/',
  /** From where on each stream was to be read. */
  began: 'began/',
  /** Records were lost from index and segments, and what they held is not made good yet. */
  missing: 'missing',
  /** Of each stream: the bytes that loss records name, and those whose record has lost its body. */
  lost: 'lost/',
  bodiless: 'bodiless/',
  /** The same bytes of all streams that have ended, in one number. */
  lostOfEnded: 'lostOfEnded',
  shipped: 'shipped/',
  /** Of each stream: where the record stands that ended its file last. */
  closed: 'closed/',
  /** Likewise that which says that bytes are lost, nobody knows how many. */
  endless: 'endless/',
  notes: 'note/',
} as const

/** The records that wait in a lane; they sort in the order of the chain. */
export const lanePrefixes: Record<Lane, string> = {
  high: 'record-high/',
  normal: 'record/',
  low: 'record-low/',
}

const pad = (value: number): string => String(value).padStart(16, '0')

export const laneKey = (lane: Lane, place: Place): string => `${lanePrefixes[lane]}${placeText(place)}`
export const recordKey = (entry: Place & { readonly lane: Lane }): string => laneKey(entry.lane, entry)
export const markKey = (lane: Lane): string => `${keys.marks}${lane}`
export const segmentKey = (segment: number): string => `${keys.segments}${String(segment).padStart(8, '0')}`
export const asideKey = (place: Place): string => `${keys.aside}${placeText(place)}`
export const resumeKey = (stream: StreamId): string => `${keys.resumePoints}${stream}`
export const noteKey = (name: string): string => `${keys.notes}${name}`
export const receiptedKey = (stream: StreamId): string => `${keys.receipted}${stream}`
export const beganKey = (stream: StreamId): string => `${keys.began}${stream}`
export const closedKey = (stream: StreamId): string => `${keys.closed}${stream}`
export const endlessKey = (stream: StreamId): string => `${keys.endless}${stream}`
export const bodilessKey = (stream: StreamId): string => `${keys.bodiless}${stream}`
export const lostKey = (stream: StreamId): string => `${keys.lost}${stream}`

/** A place in this device's chains. */
export interface Place {
  readonly epoch: Epoch
  readonly seq: Sequence
}

/** The place that a chain has not reached yet. */
export const endOf = ({ epoch, next }: ChainHead): Place => ({ epoch, seq: next })

/** Sorts as the places do. */
export const placeText = ({ epoch, seq }: Place): string => `${pad(epoch)}/${pad(seq)}`

/** What the index knows of a record that waits. */
export interface IndexEntry extends Place {
  readonly lane: Lane
  /** Where the whole record stands; null once its body was evicted. */
  readonly extent: Extent | null
  readonly digest: Digest
  readonly stream: StreamId
  /** Of the log's bytes in it. */
  readonly length: number
  /** The signed envelope as base64url; undefined where an agent before this one queued the record. */
  readonly envelope: string | undefined
}

export function encodeEntry({ extent, digest, stream, length, envelope }: IndexEntry): string {
  const where = extent ? [extent.segment, extent.offset, extent.length] : [null, null, null]
  const fields = [...where, base64url(digest), stream, length]
  return JSON.stringify(envelope === undefined ? fields : [...fields, envelope])
}

/** undefined where key or value are not what was stored. */
export function decodeEntry(key: string, value: string): IndexEntry | undefined {
  const lane = lanes.find((known) => key.startsWith(lanePrefixes[known]))
  return lane && decodeInLane(lane, key, value)
}

function decodeInLane(lane: Lane, key: string, value: string): IndexEntry | undefined {
  const place = decodePlace(key)
  const [segment, offset, length, digestText, streamText, contentLength, envelopeText] = parseList(value)
  const digest = typeof digestText === 'string' ? parseBase64url(digestText, digestBytes) : undefined
  const stream = typeof streamText === 'string' ? parseStreamId(streamText) : undefined
  const envelope = typeof envelopeText === 'string' ? envelopeText : undefined
  const extent = decodeExtent(segment, offset, length)
  if (!place || extent === undefined || !digest || !stream || !isCount(contentLength)) return undefined
  return { ...place, lane, extent, digest: digest as Digest, stream, length: contentLength, envelope }
}

function decodeExtent(segment: unknown, offset: unknown, length: unknown): Extent | null | undefined {
  if (segment === null) return null
  return isCount(segment) && isCount(offset) && isCount(length) ? { segment, offset, length } : undefined
}

function decodePlace(key: string): Place | undefined {
  const match = /(\d{16})\/(\d{16})$/.exec(key)
  const epoch = parseEpoch(Number(match?.[1]))
  const seq = parseSequence(Number(match?.[2]))
  return epoch === undefined || seq === undefined ? undefined : { epoch, seq }
}

function parseList(text: string): unknown[] {
  const { list } = parseObject(`{"list":${text}}`)
  return Array.isArray(list) ? list : []
}

/** A record that is kept and not sent, and why. */
export interface AsideEntry extends IndexEntry {
  readonly why: string
}

export function encodeAside(entry: AsideEntry): string {
  return JSON.stringify({ entry: encodeEntry(entry), why: entry.why, lane: entry.lane })
}

/** undefined where key or value are not what was stored. */
export function decodeAside(key: string, value: string): AsideEntry | undefined {
  const { entry, why, lane } = parseObject(value)
  const known = lanes.find((one) => one === lane) ?? 'normal'
  const decoded = typeof entry === 'string' ? decodeInLane(known, key, entry) : undefined
  return decoded && typeof why === 'string' ? { ...decoded, why } : undefined
}

/** The chain's head, and where its last record was written; null where none was, or an older agent wrote the head. */
export interface StoredHead {
  readonly head: ChainHead
  readonly at: Extent | null
}

export function encodeHead({ head: { epoch, next, last }, at }: StoredHead): string {
  const where = at && [at.segment, at.offset, at.length]
  return JSON.stringify({ epoch, next, last: base64url(last), at: where })
}

/** undefined where the text is not what `encodeHead` made. */
export function decodeHead(device: DeviceId, text: string): StoredHead | undefined {
  const fields = parseObject(text)
  const epoch = parseEpoch(fields['epoch'])
  const next = parseSequence(fields['next'])
  const last = typeof fields['last'] === 'string' ? parseBase64url(fields['last'], digestBytes) : undefined
  if (epoch === undefined || next === undefined || !last) return undefined
  const [segment = null, offset, length]: unknown[] = Array.isArray(fields['at']) ? fields['at'] : []
  const at = decodeExtent(segment, offset, length) ?? null
  return { head: { device, epoch, next, last: last as Digest }, at }
}
