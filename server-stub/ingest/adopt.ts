import { scanRecord } from '../../protocol/record.ts'
import { verifyRecord, type KeyRing } from '../../protocol/verify.ts'
import type { Catalog, NewRecord } from '../catalog/catalog.ts'
import { factsOf, labelOf } from '../catalog/record-facts.ts'
import type { Journal } from '../journal.ts'
import { areas } from '../store/blob-key.ts'
import type { BlobInfo, BlobStore } from '../store/blob-store.ts'
import { auditKeys } from './key-ring.ts'
import { KnownHere } from './judge.ts'

interface AdoptParts {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly journal: Journal
}

/**
 * Makes blobs known that the catalog does not know: those of batches that a crash cut off between store and catalog,
 * and all of them where the catalog was lost. Nothing is deleted: a record whose key is not registered yet stays for
 * the next start. Runs before the server listens. Resolves to whether the catalog now knows all there is.
 */
export async function adoptBlobs(parts: AdoptParts): Promise<boolean> {
  if ((await parts.catalog.setting('agrees')) === 'yes') return true
  const keys = auditKeys(await parts.catalog.devices())
  let isWhole = true
  for (const area of areas) {
    for await (const blob of parts.store.list(area)) {
      if (await parts.catalog.hasBlob(blob.key)) continue
      isWhole = (await adoptBlob(blob, keys, parts)) && isWhole
    }
  }
  return isWhole
}

/** Whether every byte of the blob is known to the catalog now. */
async function adoptBlob(blob: BlobInfo, keys: KeyRing, parts: AdoptParts): Promise<boolean> {
  const { records, isWhole } = await readBlob(blob, keys, parts)
  const [first] = records
  if (!first) return false
  const { device } = first.row
  await parts.catalog.commit({ device, nowMs: blob.modifiedMs, blobs: [blob], records })
  parts.journal.adopted(blob.key, records.length)
  return isWhole
}

interface BlobRecords {
  readonly records: readonly NewRecord[]
  readonly isWhole: boolean
}

async function readBlob(blob: BlobInfo, keys: KeyRing, { store, catalog }: AdoptParts): Promise<BlobRecords> {
  const known = new KnownHere()
  const records: NewRecord[] = []
  // One batch at most: a blob is never larger.
  const bytes = await store.read(blob.key, 0, blob.bytes)
  let start = 0
  for (
    let scan = bytes && scanRecord(bytes);
    bytes && scan?.is === 'whole';
    scan = scanRecord(bytes, start)
  ) {
    const at = { blob: blob.key, offset: start, bytes: scan.frame.bytes.length }
    start = scan.end
    const verdict = verifyRecord(scan.frame, keys)
    if (!verdict.ok) continue
    const facts = factsOf(verdict.value)
    const judgement = await known.judge(facts, catalog)
    const label = labelOf(verdict.value.manifest)
    if (judgement.keep) {
      records.push({ row: { ...facts, role: judgement.role, at }, label, supersedes: judgement.supersedes })
    } else if (!facts.hasBody) {
      records.push({ row: { ...facts, role: 'superseded', at }, label, supersedes: false })
    }
  }
  const adopted = records.reduce((sum, { row }) => sum + row.at.bytes, 0)
  return { records, isWhole: adopted === blob.bytes }
}
