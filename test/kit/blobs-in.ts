import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** The paths of the blobs below a folder of a server, in their order. */
export async function blobsIn(data: string): Promise<string[]> {
  const names = await readdir(data, { recursive: true })
  return names
    .filter((name) => name.endsWith('.logb'))
    .toSorted()
    .map((name) => join(data, name))
}
