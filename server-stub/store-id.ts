import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { storeIdBytes } from '../protocol/capabilities.ts'
import { base64url, parseBase64url } from '../protocol/ids.ts'
import type { Catalog } from './catalog/catalog.ts'
import { areas } from './store/blob-key.ts'
import type { BlobStore } from './store/blob-store.ts'
import { writeFileDurably } from './store/durable.ts'

const ownerWrites = 0o644

/**
 * By which drones tell this store from another one behind the same address. It goes with the records: a rebuilt catalog
 * leaves it as it is, and a folder that holds no record yet, or any more, gets a new one.
 */
export async function openStoreId(data: string, store: BlobStore, catalog: Catalog): Promise<string> {
  const file = join(data, 'store.id')
  const known = await readId(file)
  if (known !== undefined && (await holdsRecords(store, catalog))) return known
  const id = base64url(randomBytes(storeIdBytes))
  await writeFileDurably(file, Buffer.from(`${id}\n`), ownerWrites)
  return id
}

/** undefined: there is none, or none that can be used. */
async function readId(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return ''
    throw cause
  })
  const id = text.trim()
  return parseBase64url(id, storeIdBytes) ? id : undefined
}

async function holdsRecords(store: BlobStore, catalog: Catalog): Promise<boolean> {
  for (const area of areas) {
    for await (const _blob of store.list(area)) return true
  }
  return (await catalog.streams()).length > 0
}
