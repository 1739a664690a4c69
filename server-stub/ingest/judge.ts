import { equalBytes } from '../../protocol/ids.ts'
import type { Outcome } from '../../protocol/receipt.ts'
import type { Catalog, RecordFacts, RecordRow, Role } from '../catalog/catalog.ts'
import { loadRecord, type RecordSource } from '../query/load-record.ts'

/** What is to be done with a verified record. */
export type Judgement =
  | { readonly keep: false; readonly outcome: Exclude<Outcome, 'refused'> }
  | {
      readonly keep: true
      readonly outcome: Exclude<Outcome, 'refused'>
      readonly role: Exclude<Role, 'superseded'>
      /** Whether it takes the place of the stored record of the same manifest, which lacks the body or is damaged. */
      readonly supersedes: boolean
    }

interface Known extends Pick<RecordRow, 'digest' | 'hasBody' | 'role'> {
  /** Whether the store does not give it back any more as it was signed. */
  readonly isLost?: boolean
}

/** What is known, and what can be given back. */
export interface Knowledge extends RecordSource {
  readonly catalog: Catalog
}

/**
 * Judges a record by those that are known at its place in the chain. The same manifest is the same record, whatever
 * its envelope's bytes; another manifest at a taken place is a fork.
 */
export function judge(record: RecordFacts, known: readonly Known[]): Judgement {
  const same = known.find((other) => equalBytes(other.digest, record.digest))
  const role = same ? roleOf(same) : known.length > 0 ? 'fork' : 'first'
  const hasBodyHere = same !== undefined && same.hasBody && !same.isLost
  const supersedes = same !== undefined && (same.isLost === true || (record.hasBody && !same.hasBody))
  const isWithheld = record.kind === 'data' && !record.hasBody && !hasBodyHere
  // Said before anything else: a body that somebody took away on the way must never look safe to the drone.
  const said = (outcome: 'stored' | 'duplicate'): Exclude<Outcome, 'refused'> => {
    if (isWithheld) return 'storedWithoutBody'
    return role === 'fork' ? 'forked' : outcome
  }
  if (same && !supersedes) return { keep: false, outcome: said('duplicate') }
  return { keep: true, outcome: said('stored'), role, supersedes }
}

const roleOf = (known: Known): 'first' | 'fork' => (known.role === 'fork' ? 'fork' : 'first')

/** Judges records one after the other: each is known to those that follow, before the catalog knows it. */
export class KnownHere {
  readonly #kept = new Map<string, Known[]>()

  /** Nothing is called a duplicate before what is stored was read again: the drone will forget its own copy. */
  async judge(record: RecordFacts, knowledge: Knowledge): Promise<Judgement> {
    const { device, epoch, seq, digest, hasBody } = record
    const place = `${epoch}/${seq}`
    const here = this.#kept.get(place) ?? []
    const rows = await knowledge.catalog.recordsAt(device, epoch, seq)
    const stored = await Promise.all(rows.map((row) => checked(row, record, knowledge)))
    const judgement = judge(record, [...here, ...stored])
    // The newest first: it may have brought the body that the one before it lacks.
    if (judgement.keep) this.#kept.set(place, [{ digest, hasBody, role: judgement.role }, ...here])
    return judgement
  }
}

async function checked(row: RecordRow, { digest }: RecordFacts, knowledge: Knowledge): Promise<Known> {
  if (!equalBytes(row.digest, digest)) return row
  const { ok } = await loadRecord(row, knowledge)
  return { ...row, isLost: !ok }
}
