import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Flips a byte of one of the folder's files, or cuts off its end; false where there is none. */
export async function damageFile(folder: string, isFlip: boolean, at: number): Promise<boolean> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const paths = names.toSorted((a, b) => (a < b ? -1 : 1)).map((name) => join(folder, name))
  const sizes = await Promise.all(
    paths.map(async (path) => (await stat(path)).isFile() && (await stat(path)).size),
  )
  const candidates = paths.filter((_, index) => sizes[index])
  const path = candidates[at % Math.max(1, candidates.length)]
  if (path === undefined) return false
  const bytes = await readFile(path)
  const place = Math.floor((bytes.length * at) / 1000)
  if (!isFlip) await truncate(path, place)
  else await writeFile(path, bytes.fill((bytes[place] ?? 0) ^ 0x10, place, place + 1))
  return true
}
