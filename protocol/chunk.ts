import type { StreamId } from './ids.ts'
import type { LogPath } from './log-path.ts'

/** What an admin said about the logs of a source: names and values, at most 1 KiB encoded. */
export type Tags = ReadonlyMap<string, string>

/** The file generation that a record is about. */
export interface StreamLabel {
  readonly stream: StreamId
  readonly path: LogPath
  readonly tags: Tags
}
