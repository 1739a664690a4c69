import { equalBytes } from '../../protocol/ids.ts'
import { scanRecord } from '../../protocol/record.ts'
import { refusals } from '../../protocol/refusal.ts'
import { verifyRecord, type KeyRing, type VerifiedRecord } from '../../protocol/verify.ts'
import type { RecordFacts, RecordRow } from '../catalog/catalog.ts'
import { factsOf } from '../catalog/record-facts.ts'
import type { BlobStore } from '../store/blob-store.ts'

export type Loaded =
  | { readonly ok: true; readonly record: VerifiedRecord }
  /** What is wrong, for a person. */
  | { readonly ok: false; readonly why: string }

export interface RecordSource {
  readonly store: BlobStore
  readonly keys: KeyRing
}

/** The record that the catalog says stands there, verified again to its last bit and compared with the catalog. */
export async function loadRecord(row: RecordRow, { store, keys }: RecordSource): Promise<Loaded> {
  const bytes = await store.read(row.at.blob, row.at.offset, row.at.bytes)
  if (!bytes) return damaged('its bytes are not there')
  const scan = scanRecord(bytes)
  if (scan.is !== 'whole' || scan.end !== bytes.length) return damaged(refusals.RECORD_MALFORMED)
  const verdict = verifyRecord(scan.frame, keys)
  if (!verdict.ok) return damaged(refusals[verdict.refusal])
  const field = differingField(row, factsOf(verdict.value))
  if (field !== undefined) return damaged(`the catalog has another ${field} than the signed manifest`)
  return { ok: true, record: verdict.value }
}

const damaged = (why: string): Loaded => ({ ok: false, why })

function differingField(row: RecordFacts, facts: RecordFacts): string | undefined {
  const names = Object.keys(facts) as (keyof RecordFacts)[]
  return names.find((name) => !isSame(row[name], facts[name]))
}

function isSame(a: RecordFacts[keyof RecordFacts], b: RecordFacts[keyof RecordFacts]): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array ? equalBytes(a, b) : a === b
}
