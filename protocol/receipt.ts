import { decodeCbor, encodeCbor, type CborValue } from './cbor.ts'
import { payloadSignedBy, signEnvelope } from './cose.ts'
import type { PublicKey, Signer } from './ed25519-policy.ts'
import {
  equalBytes,
  isCount,
  parseDeviceId,
  parseDigest,
  parseEpoch,
  parseSequence,
  type DeviceId,
  type Digest,
  type Epoch,
  type Sequence,
} from './ids.ts'
import { accept, isRefusalText, refuse, type Verdict } from './refusal.ts'

export const outcomes = ['stored', 'duplicate', 'storedWithoutBody', 'forked', 'refused'] as const
/**
 * What the server did with a record: stored it; had it already; stored an envelope whose body the drone withheld; stored
 * it apart, because another record holds its place in the chain; or refused it. All but the last are safe on its disk.
 */
export type Outcome = (typeof outcomes)[number]

/** What became of one record of the batch. */
export type ReceiptEntry = {
  /** null where the record's manifest could not be read. */
  readonly place: { readonly epoch: Epoch; readonly seq: Sequence } | null
  readonly digest: Digest
} & (
  | { readonly outcome: Exclude<Outcome, 'refused'> }
  /** One of the codes of refusal.ts, or one that a later server gives: it refuses this record, and voids no other. */
  | { readonly outcome: 'refused'; readonly refusal: string }
)

export interface Receipt {
  readonly device: DeviceId
  /** The server's wall clock. */
  readonly timeMs: number
  /** One for each record of the batch, in its order. */
  readonly entries: readonly ReceiptEntry[]
  /** The digest of the query that it answers, where it answers one. */
  readonly query?: Digest
}

const version = 1
const key = { version: 0, device: 1, timeMs: 2, entries: 3, query: 4 } as const
/** A receipt for the largest batch is smaller: 4096 entries of at most 110 bytes. */
export const maxReceiptBytes = 512 * 1024

/** The signed receipt: one COSE_Sign1 by the server's key. */
export function signReceipt(receipt: Receipt, signer: Signer): Uint8Array {
  const payload = encodeCbor(
    new Map<number, CborValue>([
      [key.version, version],
      [key.device, receipt.device],
      [key.timeMs, receipt.timeMs],
      [key.entries, receipt.entries.map(encodeEntry)],
      ...(receipt.query ? [[key.query, receipt.query] as const] : []),
    ]),
  )
  return signEnvelope(payload, 'logbox-receipt', signer)
}

function encodeEntry(entry: ReceiptEntry): CborValue {
  const { place, digest, outcome } = entry
  const code = outcome === 'refused' ? entry.refusal : null
  return [place?.epoch ?? null, place?.seq ?? null, digest, outcomes.indexOf(outcome), code]
}

/**
 * The receipt in `bytes`, if one of the pinned keys signed it for this device, and, where a `query` is given, as the answer
 * to that query: its digest. What a receipt says is true whatever it was for; what it does not say means something
 * only in the answer to a query that had a nonce. Never throws: anything else, such as a captive portal's page, is
 * RECEIPT_INVALID.
 */
export function verifyReceipt(
  bytes: Uint8Array,
  pinned: readonly PublicKey[],
  device: DeviceId,
  query?: Digest,
): Verdict<Receipt> {
  const payload = payloadSignedBy(pinned, bytes, 'logbox-receipt', maxReceiptBytes)
  const receipt = payload && decodeReceipt(payload)
  if (receipt?.device !== device || (query && !answers(receipt, query))) return refuse('RECEIPT_INVALID')
  return accept(receipt)
}

function answers(receipt: Receipt, query: Digest): boolean {
  return receipt.query !== undefined && equalBytes(receipt.query, query)
}

function decodeReceipt(payload: Uint8Array): Receipt | undefined {
  const fields = decodeCbor(payload)
  if (!(fields instanceof Map) || fields.get(key.version) !== version) return undefined
  const name: unknown = fields.get(key.device)
  const device = typeof name === 'string' ? parseDeviceId(name) : undefined
  const timeMs: unknown = fields.get(key.timeMs)
  const list: unknown = fields.get(key.entries)
  if (device === undefined || !isCount(timeMs) || !Array.isArray(list)) return undefined
  const entries = list.map(decodeEntry).filter((entry) => entry !== undefined)
  if (entries.length !== list.length) return undefined
  if (fields.size === 4) return { device, timeMs, entries }
  const query = parseDigest(fields.get(key.query))
  return fields.size === 5 && query ? { device, timeMs, entries, query } : undefined
}

function decodeEntry(value: unknown): ReceiptEntry | undefined {
  if (!Array.isArray(value) || value.length !== 5) return undefined
  const [epochField, seqField, digestField, outcomeField, code]: unknown[] = value
  const digest = parseDigest(digestField)
  const outcome = isCount(outcomeField) ? outcomes[outcomeField] : undefined
  const place = decodePlace(epochField, seqField)
  if (!digest || !outcome || place === undefined) return undefined
  if (outcome !== 'refused') return place && code === null ? { place, digest, outcome } : undefined
  return typeof code === 'string' && isRefusalText(code)
    ? { place, digest, outcome, refusal: code }
    : undefined
}

function decodePlace(epochField: unknown, seqField: unknown): ReceiptEntry['place'] | undefined {
  if (epochField === null && seqField === null) return null
  const epoch = parseEpoch(epochField)
  const seq = parseSequence(seqField)
  return epoch === undefined || seq === undefined ? undefined : { epoch, seq }
}
