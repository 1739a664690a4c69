import { base64url } from '../../protocol/ids.ts'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import { showPath, showText } from '../../protocol/show-text.ts'

/** A file's path in a report, as `files --json` of the server has it. */
export interface ReportedPath {
  /** As it is, or where it is not UTF-8, as it is shown. */
  readonly path: string
  /** base64url of a path that is not UTF-8. */
  readonly pathBytes?: string
}

export function reportedPath(bytes: Uint8Array): ReportedPath {
  const path = logPathFromBytes(bytes) ?? bytes
  return typeof path === 'string' ? { path } : { path: showPath(path), pathBytes: base64url(path) }
}

/** For a person, on one line. */
export function showReported({ path, pathBytes }: ReportedPath): string {
  return pathBytes === undefined ? showText(path) : path
}
