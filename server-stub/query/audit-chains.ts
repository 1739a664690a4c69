import { equalBytes, noDigest, type DeviceId, type Digest, type Epoch } from '../../protocol/ids.ts'
import type { RecordRow } from '../catalog/catalog.ts'
import { areaOf } from '../store/blob-key.ts'
import { findingAt, type Finding } from './finding.ts'

/** Where a chain ends here. Whether it went on, only the drone knows. */
export interface ChainEnd {
  readonly device: DeviceId
  readonly epoch: Epoch
  readonly seq: number
  readonly digest: Digest
}

/**
 * What the chains of one device lack. Its records come in order, those of one place together, and each chain's end goes
 * to `ends`.
 */
export async function* auditChains(
  records: AsyncIterable<RecordRow>,
  ends: ChainEnd[],
): AsyncGenerator<Finding, void, undefined> {
  let last: RecordRow | undefined
  for await (const place of placesOf(records)) {
    yield* auditRoles(place)
    const first = place.find(({ role }) => role === 'first')
    if (!first) continue
    yield* auditLink(last?.epoch === first.epoch ? last : undefined, first)
    if (last && last.epoch !== first.epoch) ends.push(endOf(last))
    last = first
  }
  if (last) ends.push(endOf(last))
}

function endOf({ device, epoch, seq, digest }: RecordRow): ChainEnd {
  return { device, epoch, seq, digest }
}

/** The records that claim one place in a chain, place by place. */
async function* placesOf(records: AsyncIterable<RecordRow>): AsyncGenerator<RecordRow[], void, undefined> {
  let place: RecordRow[] = []
  for await (const row of records) {
    const [one] = place
    if (one && (one.epoch !== row.epoch || one.seq !== row.seq)) {
      yield place
      place = []
    }
    place.push(row)
  }
  if (place.length > 0) yield place
}

function* auditLink(last: RecordRow | undefined, row: RecordRow): Generator<Finding, void, undefined> {
  const next = last ? last.seq + 1 : 0
  if (row.seq !== next) yield findingAt('GAP', row, lackingFrom(next, row.seq - 1))
  else if (!equalBytes(row.prev, last?.digest ?? noDigest)) {
    yield findingAt('CHAIN_BROKEN', row, 'it does not follow from the record before it')
  }
}

function lackingFrom(first: number, last: number): string {
  return first === last ? `record ${first} is not here` : `records ${first} to ${last} are not here`
}

/**
 * No signature covers a role, and a role takes a record out of its stream: so each must follow from what else is at its
 * place, and from where its bytes stand.
 */
function* auditRoles(place: readonly RecordRow[]): Generator<Finding, void, undefined> {
  const firsts = place.filter(({ role }) => role === 'first')
  const [one] = place
  if (one && firsts.length !== 1) {
    const holders = firsts.length === 0 ? 'no record holds' : `${firsts.length} records hold`
    yield findingAt('ROLE_WRONG', one, `${holders} this place in the chain`)
  }
  for (const row of place) {
    const wrong = row.role === 'superseded' ? wrongIfSuperseded(row, place) : wrongIfLive(row, firsts)
    if (wrong !== undefined) yield findingAt('ROLE_WRONG', row, wrong)
    if (row.role === 'fork') yield findingAt('FORK', row, 'another record holds this place in the chain')
  }
}

function wrongIfSuperseded(row: RecordRow, place: readonly RecordRow[]): string | undefined {
  const twin = place.find(({ role, digest }) => role !== 'superseded' && equalBytes(digest, row.digest))
  if (twin && (twin.hasBody || !row.hasBody)) return undefined
  return 'the catalog says that another record came in its place, and has none'
}

function wrongIfLive({ role, digest, at }: RecordRow, firsts: readonly RecordRow[]): string | undefined {
  if (role === 'fork' && firsts.some((first) => equalBytes(first.digest, digest))) {
    return 'the catalog calls it a fork of itself'
  }
  const area = areaOf(role === 'fork' ? 'fork' : 'first')
  return at.blob.startsWith(`${area}/`) ? undefined : `the catalog calls it ${role}, and it is not in ${area}`
}
