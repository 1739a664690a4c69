import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Fault } from '../protocol/fault.ts'
import type { Signer } from '../protocol/ed25519-policy.ts'
import { base64url } from '../protocol/ids.ts'
import type { Catalog } from './catalog/catalog.ts'
import { SqliteCatalog } from './catalog/sqlite-catalog.ts'
import type { Clock } from './clock.ts'
import { serverFault } from './faults.ts'
import { writingJournal, type Journal } from './journal.ts'
import { openMetrics, type Metrics } from './metrics.ts'
import { openReceiptKey, readReceiptKey } from './receipt-key.ts'
import type { BlobStore } from './store/blob-store.ts'
import { lockData } from './store/data-lock.ts'
import { openStoreId } from './store-id.ts'
import { DiskStore } from './store/disk-store.ts'
import { makeFolder, syncFolder } from './store/durable.ts'

/** All that a server needs of the world. */
export interface Parts {
  readonly clock: Clock
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly signer: Signer
  readonly journal: Journal
  readonly metrics: Metrics
  /** 16 random bytes, as base64url: made with the store. */
  readonly storeId: string
}

export const realClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await setTimeout(ms, undefined, { signal }).catch(stopQuietly)
  },
}

const stopQuietly = (): void => undefined

/** The embedded parts of the one server of a data folder, made on the first start and held until disposed of. */
export async function openParts(
  data: string,
  write: (line: string) => void,
): Promise<Parts & AsyncDisposable> {
  await using opening = new AsyncDisposableStack()
  await disk(data, () => makeFolder(data))
  opening.use(await disk(data, () => lockData(data, `process ${process.pid}`)))
  const catalog = opening.use(SqliteCatalog.open(catalogFile(data), realClock))
  const store = new DiskStore(data)
  await store.removeDrafts()
  const pinned = await catalog.setting('receiptKey')
  const signer = await disk(data, () => openReceiptKey(data, pinned))
  if (pinned === undefined) await catalog.keepSetting('receiptKey', base64url(signer.publicKey.bytes))
  const storeId = await disk(data, () => openStoreId(data, store))
  await disk(data, () => syncFolder(data))
  const metrics = openMetrics(catalog)
  const journal = writingJournal(write, metrics.meters, realClock)
  const open = opening.move()
  const parts = { clock: realClock, store, catalog, signer, journal, metrics, storeId }
  return { ...parts, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

/** What the admin commands work on, beside a running server or without one. */
export interface StoreParts {
  readonly clock: Clock
  readonly store: BlobStore
  readonly catalog: Catalog
}

/** Throws STORE_MISSING where no server ever ran: looking makes nothing. */
export async function openStore(data: string): Promise<StoreParts & AsyncDisposable> {
  if (!(await isStore(data))) throw serverFault('STORE_MISSING', `no store at ${data}`)
  const catalog = openCatalog(catalogFile(data))
  const parts = { clock: realClock, store: new DiskStore(data), catalog }
  return { ...parts, [Symbol.asyncDispose]: () => catalog[Symbol.asyncDispose]() }
}

/** An auditor may be somebody who can write nothing there, or have the disk of before, mounted read-only. */
function openCatalog(file: string): SqliteCatalog {
  try {
    return SqliteCatalog.open(file, realClock)
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'STORE_UNWRITABLE') throw error
    return SqliteCatalog.openToRead(file, realClock)
  }
}

/** The same, for what may come before the first start of the server. */
export async function makeStore(
  data: string,
): Promise<StoreParts & AsyncDisposable & { readonly isNew: boolean }> {
  const isNew = !(await isStore(data))
  await disk(data, () => makeFolder(data))
  await SqliteCatalog.open(catalogFile(data), realClock)[Symbol.asyncDispose]()
  return { ...(await openStore(data)), isNew }
}

/** The key of the receipts. Throws STORE_MISSING where there is none. */
export async function openSigner(data: string): Promise<Signer> {
  const signer = await readReceiptKey(data)
  if (!signer) throw serverFault('STORE_MISSING', `no receipt key at ${data}`)
  return signer
}

const catalogFile = (data: string): string => join(data, 'catalog.db')

async function isStore(data: string): Promise<boolean> {
  return stat(catalogFile(data)).then(
    (found) => found.isFile(),
    () => false,
  )
}

/** Runs what opens the data folder; what the system refuses is a fault that names it. */
async function disk<T>(data: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause) || 'kind' in cause) throw cause
    throw serverFault('STORE_UNWRITABLE', `cannot open ${data}: ${cause.message}`, { cause })
  }
}
