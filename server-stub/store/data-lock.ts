import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { showText } from '../../protocol/show-text.ts'
import { serverFault } from '../faults.ts'

/**
 * Makes this process the one server of a data folder until it is disposed of. The lock is SQLite's on a file of its
 * own: the kernel lets go of it when the process dies, however it dies. Who holds it stands in a file beside it.
 */
export async function lockData(data: string, holder: string): Promise<AsyncDisposable> {
  const whoFile = join(data, 'server.who')
  const database = new DatabaseSync(join(data, 'server.lock'))
  if (!takes(database)) {
    database.close()
    throw serverFault('SERVER_RUNNING', `${data} is served by ${await readWho(whoFile)}`)
  }
  // Only for a person to read: a disk that is too full for it still serves what it has.
  await writeFile(whoFile, holder).catch(() => undefined)
  return { [Symbol.asyncDispose]: async () => database.close() }
}

function takes(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE')
    return true
  } catch (error) {
    const busy = 5
    if (error instanceof Error && 'errcode' in error && error.errcode === busy) return false
    throw error
  }
}

async function readWho(file: string): Promise<string> {
  try {
    return showText(await readFile(file, 'utf8'))
  } catch {
    // It has the lock and has not yet said who it is.
    return 'another server'
  }
}
