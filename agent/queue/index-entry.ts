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
import { parseObject } from './resume-point.ts'
import type { Extent } from './segment-log.ts'

/** The keys of LevelDB. Records sort in the order of the chain. */
export const keys = {
  /** Whose records these are: the device and its key's id. */
  owner: 'owner',
  /** The chain's head. */
  head: 'head',
  /** Before it in the chain, every record either has its receipt or stands under `record/` or `aside/`. */
  acknowledged: 'acknowledged',
  records: 'record/',
  aside: 'aside/',
  resumePoints: 'resume/',
  receipted: 'receipted/',
  lost: 'lost/',
  shipped: 'shipped/',
} as const

/** The end of a range of keys under a prefix. */
export const endOf = (prefix: string): string => `${prefix}\uffff`

const pad = (value: number): string => String(value).padStart(16, '0')

export const recordKey = (place: Place): string => `${keys.records}${placeText(place)}`
export const asideKey = (place: Place): string => `${keys.aside}${placeText(place)}`
export const resumeKey = (stream: StreamId): string => `${keys.resumePoints}${stream}`
export const receiptedKey = (stream: StreamId): string => `${keys.receipted}${stream}`
export const lostKey = (stream: StreamId): string => `${keys.lost}${stream}`

/** A place in this device's chains. */
export interface Place {
  readonly epoch: Epoch
  readonly seq: Sequence
}

/** Sorts as the places do. */
export const placeText = ({ epoch, seq }: Place): string => `${pad(epoch)}/${pad(seq)}`

/** What the index knows of a record that waits. */
export interface IndexEntry extends Place {
  readonly extent: Extent
  readonly digest: Digest
  readonly stream: StreamId
  /** Of the log's bytes in it. */
  readonly length: number
}

export function encodeEntry({ extent, digest, stream, length }: IndexEntry): string {
  return JSON.stringify([extent.segment, extent.offset, extent.length, base64url(digest), stream, length])
}

/** undefined where key or value are not what was stored. */
export function decodeEntry(key: string, value: string): IndexEntry | undefined {
  const place = decodePlace(key)
  const fields = parseList(value)
  const [segment, offset, length, digestText, streamText, contentLength] = fields
  const digest = typeof digestText === 'string' ? parseBase64url(digestText, digestBytes) : undefined
  const stream = typeof streamText === 'string' ? parseStreamId(streamText) : undefined
  if (!place || !isCount(segment) || !isCount(offset) || !isCount(length)) return undefined
  if (!digest || !stream || !isCount(contentLength)) return undefined
  return {
    ...place,
    extent: { segment, offset, length },
    digest: digest as Digest,
    stream,
    length: contentLength,
  }
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
  return JSON.stringify({ entry: encodeEntry(entry), why: entry.why })
}

export function decodeAside(key: string, value: string): AsideEntry | undefined {
  const { entry, why } = parseObject(value)
  const decoded = typeof entry === 'string' ? decodeEntry(key, entry) : undefined
  return decoded && typeof why === 'string' ? { ...decoded, why } : undefined
}

export function encodeHead({ epoch, next, last }: ChainHead): string {
  return JSON.stringify({ epoch, next, last: base64url(last) })
}

export function decodeHead(device: DeviceId, text: string): ChainHead | undefined {
  const fields = parseObject(text)
  const epoch = parseEpoch(fields['epoch'])
  const next = parseSequence(fields['next'])
  const last = typeof fields['last'] === 'string' ? parseBase64url(fields['last'], digestBytes) : undefined
  return epoch === undefined || next === undefined || !last
    ? undefined
    : { device, epoch, next, last: last as Digest }
}
