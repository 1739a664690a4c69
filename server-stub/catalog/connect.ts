import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { serverFault } from '../faults.ts'

/** Opens another connection to the same catalog. */
export type Connect = () => DatabaseSync

/** How long a writer waits for another process, such as `device add` while the server commits. */
export const busyTimeoutMs = 5000

export const connecting =
  (file: string): Connect =>
  () =>
    new DatabaseSync(file, { timeout: busyTimeoutMs })

/**
 * To a catalog beside which nothing can be written. SQLite reads one with its -wal where the -shm is there too, as while it
 * is served. One without a -wal that holds anything is all in its file, and is read as one that nobody changes. Throws
 * STORE_UNREADABLE where what was committed last stands in a -wal that cannot be read here.
 */
export function connectingToRead(file: string): Connect {
  const asItStands = (): DatabaseSync => new DatabaseSync(file, { timeout: busyTimeoutMs, readOnly: true })
  if (canRead(asItStands)) return asItStands
  if ((statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) {
    throw serverFault(
      'STORE_UNREADABLE',
      `${file}-wal holds what was committed last, and can be read only where files can be written beside it: copy the folder`,
    )
  }
  // sqlite.org/uri.html#uriimmutable
  const unchanging = new URL(`${pathToFileURL(file).href}?immutable=1`)
  return () => new DatabaseSync(unchanging, { readOnly: true })
}

function canRead(connect: Connect): boolean {
  try {
    using database = connect()
    database.prepare('SELECT count(*) FROM sqlite_schema').get()
    return true
  } catch {
    // Whatever hinders it hinders the next way too, which says so, or is no hindrance there.
    return false
  }
}
