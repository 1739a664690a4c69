import { equalBytes } from './ids.ts'
import { limits } from './contract.ts'

/**
 * The absolute path of a log file on its drone: text where it is UTF-8, else its bytes, so that each path has one
 * form. It is a label: it is shown and searched for, and never opened on a server.
 */
export type LogPath = string | Uint8Array

export function logPathToBytes(path: LogPath): Uint8Array {
  return typeof path === 'string' ? Buffer.from(path) : path
}

/** The path in its one form, or undefined where it is empty, too long, or holds NUL. */
export function logPathFromBytes(bytes: Uint8Array): LogPath | undefined {
  if (bytes.length === 0 || bytes.length > limits.maxPathBytes || bytes.includes(0)) return undefined
  const text = Buffer.from(bytes).toString('utf8')
  return equalBytes(Buffer.from(text), bytes) ? text : Uint8Array.from(bytes)
}

export function isLogPath(value: unknown): value is LogPath {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) return false
  const parsed = logPathFromBytes(logPathToBytes(value))
  // A lone surrogate has no UTF-8: such text is not the path that it would become.
  return typeof value === 'string' ? parsed === value : parsed instanceof Uint8Array
}

/** The path for a person: bytes that are not UTF-8 become U+FFFD. Escape it before it reaches a terminal. */
export function showLogPath(path: LogPath): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString('utf8')
}
