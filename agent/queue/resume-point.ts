import { isDeepStrictEqual } from 'node:util'
import {
  base64url,
  parseBase64url,
  digestBytes,
  isCount,
  parseStreamId,
  type ByteOffset,
  type StreamId,
} from '../../protocol/ids.ts'
import { logPathFromBytes, logPathToBytes, type LogPath } from '../../protocol/log-path.ts'

/** What a file system says to tell files apart; as decimal text, because inodes and nanoseconds outgrow a double. */
export interface FileIdentity {
  readonly device: string
  readonly inode: string
  readonly birthNs: string
}

/** Of a file that nobody has looked at yet: its path and its content decide. */
export const unknownIdentity: FileIdentity = { device: '0', inode: '0', birthNs: '0' }

/** Whether a file system ever said it. */
export function isIdentityKnown({ device, inode, birthNs }: FileIdentity): boolean {
  const unknown = unknownIdentity
  return device !== unknown.device || inode !== unknown.inode || birthNs !== unknown.birthNs
}

/**
 * Made of what segments still tell, where the index had lost it: nobody has met its file since, and how much of it has receipts is
 * not known.
 */
export function isMadeAnew({ identity, place }: ResumePoint): boolean {
  return !isIdentityKnown(identity) && place === undefined
}

/** A range that was read, and its hash: whether a file still is the one that was read. */
export interface Evidence {
  readonly offset: number
  readonly length: number
  /** As base64url: thousands of them are kept, and of 32 bytes the memory around them would be the most. */
  readonly sha256: string
}

/** From where on a file generation is still to be read. It is stored with the record that made it true. */
export interface ResumePoint {
  readonly stream: StreamId
  /** The path under which the stream began; it stays the stream's label when the file is renamed. */
  readonly path: LogPath
  readonly identity: FileIdentity
  readonly position: ByteOffset
  readonly evidence: readonly Evidence[]
  /** The largest size that is known to have been this file's; beyond `position` it is unread. */
  readonly seenBytes?: number
  readonly place?: FilePlace
  readonly closed?: Closed
  /** When the file had changed last, nanoseconds; left out where what was shipped may have been written over since. */
  readonly changedNs?: string
}

/** Where a file was last seen, and the file system of its folder: one that is not there may only be unmounted. */
export interface FilePlace {
  readonly path: LogPath
  readonly device: string
}

/** What the file system said of the file when it was last read once more as a whole. */
export interface Closed {
  readonly length: number
  readonly modifiedNs: string
  readonly changedNs: string
}

/** Bytes of the file are known that nobody read. */
export function isUnread({ position, seenBytes = 0 }: ResumePoint): boolean {
  return position < seenBytes
}

export function encodeResumePoint(point: ResumePoint): string {
  const path = base64url(logPathToBytes(point.path))
  const place = point.place && { ...point.place, path: base64url(logPathToBytes(point.place.path)) }
  return JSON.stringify({ ...point, path, place })
}

/** undefined where the text is not what `encodeResumePoint` made. */
export function decodeResumePoint(text: string): ResumePoint | undefined {
  const fields = parseObject(text)
  const { stream, identity, position, evidence } = fields
  const parsedStream = typeof stream === 'string' ? parseStreamId(stream) : undefined
  const parsedPath = decodePath(fields['path'])
  const ranges = Array.isArray(evidence)
    ? evidence.map(decodeEvidence).filter((range) => range !== undefined)
    : undefined
  if (!parsedStream || parsedPath === undefined || !isIdentity(identity) || !isCount(position) || !ranges)
    return undefined
  return {
    stream: parsedStream,
    path: parsedPath,
    identity,
    position: position as ByteOffset,
    evidence: alikeOnce(ranges),
    ...decodeSeen(fields, parsedPath),
  }
}

/** Of a small file the head is the end, too: one object, because there may be thousands of such files. */
function alikeOnce(ranges: readonly Evidence[]): readonly Evidence[] {
  const [first, ...more] = ranges
  return first ? [first, ...more.map((range) => (isDeepStrictEqual(range, first) ? first : range))] : []
}

/** What the first version did not write. */
function decodeSeen(
  fields: Record<string, unknown>,
  began: LogPath,
): Pick<ResumePoint, 'seenBytes' | 'place' | 'closed' | 'changedNs'> {
  const { seenBytes, closed, changedNs } = fields
  const { path, device } = asObject(fields['place'])
  const lies = decodePath(path)
  const placePath = lies === began ? began : lies
  return {
    ...(isCount(seenBytes) ? { seenBytes } : {}),
    ...(placePath !== undefined && isDecimal(device) ? { place: { path: placePath, device } } : {}),
    ...(isClosed(closed) ? { closed } : {}),
    ...(isDecimal(changedNs) ? { changedNs } : {}),
  }
}

function isClosed(value: unknown): value is Closed {
  const { length, modifiedNs, changedNs } = asObject(value)
  return isCount(length) && isDecimal(modifiedNs) && isDecimal(changedNs)
}

function decodePath(value: unknown): LogPath | undefined {
  return typeof value === 'string' ? logPathFromBytes(Buffer.from(value, 'base64url')) : undefined
}

function isDecimal(value: unknown): value is string {
  return typeof value === 'string' && /^-?\d+$/.test(value)
}

function decodeEvidence(value: unknown): Evidence | undefined {
  const { offset, length, sha256 } = asObject(value)
  const isDigest = typeof sha256 === 'string' && parseBase64url(sha256, digestBytes) !== undefined
  return isCount(offset) && isCount(length) && isDigest ? { offset, length, sha256 } : undefined
}

function isIdentity(value: unknown): value is FileIdentity {
  const { device, inode, birthNs } = asObject(value)
  return [device, inode, birthNs].every(isDecimal)
}

/** The fields of a JSON object; none where the text is not one. */
export function parseObject(text: string): Record<string, unknown> {
  try {
    return asObject(JSON.parse(text))
  } catch {
    // A damaged index is found by what is missing, not by this text.
    return {}
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
