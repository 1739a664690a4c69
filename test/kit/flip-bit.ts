import { readFile, writeFile } from 'node:fs/promises'

/** Flips the lowest bit of the byte at `at`; throws where the file has none there. */
export async function flipBit(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  if (at < 0 || at >= bytes.length) throw new Error(`${path} has no byte ${at}`)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(path, bytes)
}
