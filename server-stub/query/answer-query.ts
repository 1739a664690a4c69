import { signReceipt } from '../../protocol/receipt.ts'
import { readQuery, type ClaimedQuery, type Query } from '../../protocol/query.ts'
import { signStreams } from '../../protocol/streams.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { ProblemCode } from '../faults.ts'
import type { Visit } from '../ingest/running.ts'
import { claimedSender, type Sender } from '../ingest/sender.ts'
import type { Settler, SettlerParts } from '../ingest/settle.ts'
import { heldRecords } from './held-records.ts'
import { heldStreams } from './held-streams.ts'

export interface QueryParts extends SettlerParts {
  readonly signer: Signer
  readonly settler: Settler
  /** Of the records that are asked for, how many bytes are read again, and inflated. */
  readonly maxReadBytes: number
  /** Of the streams that are asked about, how many rows of records are looked at. */
  readonly maxQueryRows: number
}

export type QueryAnswer =
  | { readonly is: 'answer'; readonly bytes: Uint8Array }
  | { readonly is: 'problem'; readonly code: ProblemCode }

/** Answers a query of this kind, once it is proven that a registered device asks. The signal: nobody waits any more. */
export async function answerQuery(
  body: Uint8Array,
  asks: Query['asks'],
  parts: QueryParts,
  visit: Visit,
  signal: AbortSignal,
): Promise<QueryAnswer> {
  const claimed = readQuery(body)
  if (!claimed.ok || claimed.value.query.asks !== asks) return problem('QUERY_MALFORMED')
  const { query, keyId, isSignedBy } = claimed.value
  const asker = await claimedSender(query.device, keyId, parts.catalog)
  if (asker.is === 'turnedAway') return problem(asker.refusal)
  if (!isSignedBy(asker.sender.key)) return problem('QUERY_UNSIGNED')
  const slot = visit.takeSlot(query.device)
  if (slot !== 'taken') return problem(slot === 'full' ? 'SERVER_BUSY' : 'DEVICE_BUSY')
  // What arrived of a request that died in silence counts as what arrived.
  await parts.settler.settleOpen(query.device)
  const bytes = await signedAnswer(claimed.value, asker.sender, parts, signal)
  return bytes ? { is: 'answer', bytes } : problem('QUERY_LEFT')
}

const problem = (code: ProblemCode): QueryAnswer => ({ is: 'problem', code })

/** undefined where it was left alone before it knew all. */
async function signedAnswer(
  { query, digest }: ClaimedQuery,
  { keys }: Sender,
  parts: QueryParts,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const { device } = query
  if (query.asks === 'records') {
    const entries = await heldRecords(query, { ...parts, keys }, signal)
    if (signal.aborted) return undefined
    return signReceipt({ device, timeMs: parts.clock.now(), entries, query: digest }, parts.signer)
  }
  const streams = await heldStreams(query, { ...parts, keys }, signal)
  if (signal.aborted) return undefined
  return signStreams({ device, timeMs: parts.clock.now(), query: digest, streams }, parts.signer)
}
