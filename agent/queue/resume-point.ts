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

/** A range that was read, and its hash: whether a file still is the one that was read. */
export interface Evidence {
  readonly offset: number
  readonly length: number
  readonly sha256: Uint8Array
}

/** From where on a file generation is still to be read. It is stored with the record that made it true. */
export interface ResumePoint {
  readonly stream: StreamId
  /** The path under which the stream began; it stays the stream's label when the file is renamed. */
  readonly path: LogPath
  readonly identity: FileIdentity
  readonly position: ByteOffset
  readonly evidence: readonly Evidence[]
}

export function encodeResumePoint(point: ResumePoint): string {
  const path = base64url(logPathToBytes(point.path))
  const evidence = point.evidence.map((range) => ({ ...range, sha256: base64url(range.sha256) }))
  return JSON.stringify({ ...point, path, evidence })
}

/** undefined where the text is not what `encodeResumePoint` made. */
export function decodeResumePoint(text: string): ResumePoint | undefined {
  const { stream, path, identity, position, evidence } = parseObject(text)
  const parsedStream = typeof stream === 'string' ? parseStreamId(stream) : undefined
  const parsedPath = typeof path === 'string' ? logPathFromBytes(Buffer.from(path, 'base64url')) : undefined
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
    evidence: ranges,
  }
}

function decodeEvidence(value: unknown): Evidence | undefined {
  const { offset, length, sha256 } = asObject(value)
  const digest = typeof sha256 === 'string' ? parseBase64url(sha256, digestBytes) : undefined
  return isCount(offset) && isCount(length) && digest ? { offset, length, sha256: digest } : undefined
}

function isIdentity(value: unknown): value is FileIdentity {
  const { device, inode, birthNs } = asObject(value)
  return [device, inode, birthNs].every((field) => typeof field === 'string' && /^\d+$/.test(field))
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
