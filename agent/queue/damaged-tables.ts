import type { Files } from '../world.ts'
import { damageOfTable } from './leveldb-table.ts'

const table = /^\d+\.(ldb|sst)$/
const suffix = '.damaged'
const asideTable = /^\d+\.(ldb|sst)\.damaged$/

/**
 * Renames the tables in the folder of LevelDB, closed, that it must not read; says what is wrong with one. One that it needs it
 * will miss, and not open; others are what a power cut left of a table that it had not yet begun to use.
 */
export async function setTablesAside(folder: string, files: Files): Promise<string | undefined> {
  let why: string | undefined
  for (const name of await namesIn(folder, table, files)) {
    const path = `${folder}/${name}`
    // What cannot be read LevelDB cannot read either, and says so.
    const bytes = await files.readWhole(path).catch(() => undefined)
    const damage = bytes && damageOfTable(bytes)
    if (damage === undefined) continue
    await files.rename(path, path + suffix)
    why = `${name}: ${damage}`
  }
  return why
}

/** LevelDB could not be asked whether it needs them. */
export async function putTablesBack(folder: string, files: Files): Promise<void> {
  for (const name of await namesIn(folder, asideTable, files))
    await files.rename(`${folder}/${name}`, `${folder}/${name.slice(0, -suffix.length)}`)
}

/** LevelDB opened without them. */
export async function removeTablesAside(folder: string, files: Files): Promise<void> {
  for (const name of await namesIn(folder, asideTable, files)) await files.remove(`${folder}/${name}`)
}

/** None where there is no such folder. */
async function namesIn(folder: string, pattern: RegExp, files: Files): Promise<string[]> {
  const names: string[] = []
  try {
    for await (const { name } of files.entries(folder)) names.push(Buffer.from(name).toString('latin1'))
  } catch {
    return []
  }
  return names.filter((name) => pattern.test(name))
}
