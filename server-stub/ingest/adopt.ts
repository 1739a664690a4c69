import { recordOpening, scanRecord } from '../../protocol/record.ts'
import { verifyRecord, type KeyRing, type VerifiedRecord } from '../../protocol/verify.ts'
import type { Catalog, Location, NewRecord } from '../catalog/catalog.ts'
import { factsOf, labelOf } from '../catalog/record-facts.ts'
import type { Journal } from '../journal.ts'
import { areas } from '../store/blob-key.ts'
import type { BlobInfo, BlobStore } from '../store/blob-store.ts'
import { auditKeys } from './key-ring.ts'
import { KnownHere, type Knowledge } from './judge.ts'
import { lostBlobs } from './lost-blobs.ts'

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
  const keys = auditKeys(await parts.catalog.soundDevices())
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
  // The crash may have come between the blob's name and its being durable.
  await parts.store.sync(blob.key)
  const lost = await lostBlobs(records, parts)
  await parts.catalog.commit({ device, nowMs: blob.modifiedMs, blobs: [blob], records, lost })
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
  const bytes = (await store.read(blob.key, 0, blob.bytes)) ?? new Uint8Array(0)
  for (const { value, offset } of recordsIn(bytes, keys)) {
    const at = { blob: blob.key, offset, bytes: value.frame.bytes.length }
    const record = await judged(value, at, known, { store, catalog, keys })
    if (record) records.push(record)
  }
  const adopted = records.reduce((sum, { row }) => sum + row.at.bytes, 0)
  return { records, isWhole: adopted === blob.bytes }
}

/** Every good record. After damage, the next is searched for by how records start: a wrong length may hide it. */
function* recordsIn(
  bytes: Uint8Array,
  keys: KeyRing,
): Generator<{ value: VerifiedRecord; offset: number }, void, undefined> {
  const searched = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let offset = 0; offset >= 0;) {
    const verdict = recordAt(bytes, offset, keys)
    if (verdict) yield { value: verdict, offset }
    const next = verdict ? offset + verdict.frame.bytes.length : offset + 1
    offset = searched.indexOf(recordOpening, next)
  }
}

function recordAt(bytes: Uint8Array, offset: number, keys: KeyRing): VerifiedRecord | undefined {
  const scan = scanRecord(bytes, offset)
  const verdict = scan.is === 'whole' ? verifyRecord(scan.frame, keys) : undefined
  return verdict?.ok ? verdict.value : undefined
}

/** The row of a record that is new, or of an envelope whose body is known; undefined for a second copy. */
async function judged(
  record: VerifiedRecord,
  at: Location,
  known: KnownHere,
  knowledge: Knowledge,
): Promise<NewRecord | undefined> {
  const facts = factsOf(record)
  const label = labelOf(record.manifest)
  const judgement = await known.judge(facts, knowledge)
  if (judgement.keep) {
    return { row: { ...facts, role: judgement.role, at }, label, supersedes: judgement.supersedes }
  }
  return facts.hasBody ? undefined : { row: { ...facts, role: 'superseded', at }, label, supersedes: false }
}
