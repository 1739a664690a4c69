import { statSync } from 'node:fs'

/** Which file stands at this path, comparable; undefined: none that could be looked at. */
export function fileAt(path: string): string | undefined {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false })
    return found && `${found.dev}/${found.ino}`
  } catch {
    // A disk that answers no question about it has it no more; which error that was changes nothing.
    return undefined
  }
}
