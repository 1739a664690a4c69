import { logPathToBytes } from '../../protocol/log-path.ts'
import { showPath } from '../../protocol/show-text.ts'
import type { StreamRow } from '../catalog/catalog.ts'

/** May stand before a stream id. Paths are absolute, so it is none. */
export const streamPrefix = 'stream:'

export interface FoundStream {
  readonly stream: StreamRow
  /** Earlier generations of the same path, the newest first. */
  readonly earlier: readonly StreamRow[]
}

/**
 * The stream that `name` means among those of one device, which come in the order of their first records: its id, or the
 * newest generation of its path, as the path is, or else as `files` shows it.
 */
export function findStream(streams: readonly StreamRow[], name: string): FoundStream | undefined {
  const named = streams.find(({ stream }) => stream === name || `${streamPrefix}${stream}` === name)
  if (named) return { stream: named, earlier: [] }
  const exact = streams.filter(({ path }) => isPath(path, name))
  const ofPath = exact.length > 0 ? exact : streams.filter(({ path }) => showPath(path) === name)
  const [newest, ...earlier] = ofPath.toReversed()
  return newest && { stream: newest, earlier }
}

function isPath(path: StreamRow['path'], name: string): boolean {
  return Buffer.from(name).equals(logPathToBytes(path))
}
