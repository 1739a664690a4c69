import { mediaTypes } from '../../protocol/contract.ts'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import { base64url, equalBytes, sha256, type DeviceId, type Digest } from '../../protocol/ids.ts'
import type { RecordName } from '../../protocol/query.ts'
import { verifyReceipt, type Receipt, type ReceiptEntry } from '../../protocol/receipt.ts'
import { showText } from '../../protocol/show-text.ts'
import type { BatchEntry } from '../queue/batch.ts'
import type { Answer } from './link.ts'
import { senseOfFailure, senseOfRefusal, senseOfStatus, type Course, type Sense } from './meaning.ts'

/** What an answer means for the records that were sent, or asked for. */
export type Meaning =
  | ReceiptRead
  /** Nothing is known to be stored: keep everything. */
  | {
      readonly is: 'failed'
      readonly course: Exclude<Course, 'receipt' | 'aside'>
      readonly why: string
      readonly retryAfterMs: number
      /** Some of what was sent may be stored. */
      readonly isInDoubt: boolean
    }

export interface ReceiptRead {
  readonly is: 'receipt'
  /** The server signed that it has them. */
  readonly safe: readonly BatchEntry[]
  /** It signed that it has their envelopes, and they were sent without a body. */
  readonly withoutBody: readonly BatchEntry[]
  /** It has them apart, because another record holds their place: in no file that it gives back. */
  readonly forked: readonly BatchEntry[]
  /** It signed that it will not take them. */
  readonly refused: readonly RefusedEntry[]
  /** By which this receipt is told from others: one that somebody plays again says nothing new. */
  readonly receiptId: string
}

export interface RefusedEntry {
  readonly entry: BatchEntry
  readonly sense: Sense
  readonly why: string
}

/** Whose receipts count, and for whom. */
export interface Parties {
  readonly pinned: readonly PublicKey[]
  readonly device: DeviceId
  /** Of the device's own key, which a server that refuses it should be told. */
  readonly fingerprint: string
}

/** Reads an answer. Only a receipt by a pinned key, for these records of this device, lets anything go. */
export function readAnswer(answer: Answer, entries: readonly BatchEntry[], parties: Parties): Meaning {
  if (answer.is === 'cut') return cutShort(answer, answer.sentBytes > 0)
  const receipt = receiptIn(answer, parties)
  if (receipt.is === 'failed') return receipt
  const read = sortOut(receipt, entries)
  const isAbout = [read.safe, read.withoutBody, read.forked, read.refused].some(({ length }) => length > 0)
  const notAbout = 'the receipt does not say that the server has what was sent'
  return isAbout ? read : failedBy({ course: 'portal', says: notAbout }, notAbout, 0, false)
}

/** Reads what came for a query: those of the records that the server has. It may have none of them. */
export function readQueryAnswer(answer: Answer, entries: readonly BatchEntry[], parties: Parties): Meaning {
  if (answer.is === 'cut') return cutShort(answer, false)
  const receipt = receiptIn(answer, parties)
  return receipt.is === 'failed' ? receipt : sortOut(receipt, entries)
}

export type Found = 'has it' | 'has it not' | 'no answer'

/**
 * Whether an answer says that the server has this record. That it has it not follows only from the answer to the query of
 * this digest, which had a nonce: any older receipt lacks it too.
 */
export function findIn(answer: Answer, { digest }: RecordName, query: Digest, parties: Parties): Found {
  const receipt = answer.is === 'cut' ? undefined : receiptIn(answer, parties, query)
  if (receipt?.is !== 'found') return 'no answer'
  const said = receipt.receipt.entries.find((entry) => equalBytes(entry.digest, digest))
  return said && said.outcome !== 'refused' ? 'has it' : 'has it not'
}

type Failed = Extract<Meaning, { is: 'failed' }>

interface FoundReceipt {
  readonly is: 'found'
  readonly receipt: Receipt
  readonly receiptId: string
}

function receiptIn(
  answer: Extract<Answer, { is: 'answered' }>,
  { pinned, device, fingerprint }: Parties,
  query?: Digest,
): Failed | FoundReceipt {
  const { status, mediaType, body, retryAfterMs = 0 } = answer
  const sense = senseOfStatus(status)
  if (sense.course !== 'receipt') {
    const key = status === 401 || status === 403 ? ` (the key of ${device} is ${fingerprint})` : ''
    const why = `${sayRefusal(status, mediaType, body)}: ${sense.says}${key}`
    return failedBy(sense, why, retryAfterMs, true)
  }
  const receipt = verifyReceipt(body, pinned, device, query)
  if (receipt.ok) return { is: 'found', receipt: receipt.value, receiptId: base64url(sha256(body)) }
  const why = showText(`not our server: status 200 without a receipt by the pinned key (${mediaType})`)
  return failedBy({ course: 'portal', says: why }, why, retryAfterMs, false)
}

function cutShort({ code, why }: Extract<Answer, { is: 'cut' }>, hasLeft: boolean): Failed {
  const sense = senseOfFailure(code)
  return failedBy(sense, sense.course === 'person' ? `${why}: ${sense.says}` : why, 0, hasLeft)
}

function failedBy({ course, isInDoubt }: Sense, why: string, retryAfterMs: number, hasLeft: boolean): Failed {
  // An answer of the server's ends in a failure of one of these courses; the table has no other.
  const failing = course === 'receipt' || course === 'aside' ? 'retry' : course
  return { is: 'failed', course: failing, why, retryAfterMs, isInDoubt: isInDoubt === true && hasLeft }
}

function sortOut({ receipt, receiptId }: FoundReceipt, entries: readonly BatchEntry[]): ReceiptRead {
  const byDigest = new Map<string, ReceiptEntry>(
    receipt.entries.map((entry) => [base64url(entry.digest), entry]),
  )
  const told = entries.flatMap((entry) => {
    const said = byDigest.get(base64url(entry.digest))
    return said ? [{ entry, said }] : []
  })
  const having = (fits: (said: ReceiptEntry, entry: BatchEntry) => boolean): BatchEntry[] =>
    told.filter(({ entry, said }) => fits(said, entry)).map(({ entry }) => entry)
  return {
    is: 'receipt',
    receiptId,
    safe: having(({ outcome }) => outcome === 'stored' || outcome === 'duplicate'),
    // Where the drone sent a body, somebody on the way took it off: the record is to be sent again.
    withoutBody: having(({ outcome }, { isWithheld }) => outcome === 'storedWithoutBody' && isWithheld),
    forked: having(({ outcome }) => outcome === 'forked'),
    refused: told.flatMap(({ entry, said }) => {
      if (said.outcome !== 'refused') return []
      const { refusal } = said
      return [{ entry, sense: senseOfRefusal(refusal), why: showText(`refused by the server: ${refusal}`) }]
    }),
  }
}

/** Status, and what a problem (RFC 9457) says of itself. Nobody signed it: it is shown, never acted upon. */
function sayRefusal(status: number, mediaType: string, body: Uint8Array): string {
  const said = mediaType === mediaTypes.problem ? describeProblem(body) : ''
  return showText(`the server answered ${status}${said}`)
}

function describeProblem(body: Uint8Array): string {
  try {
    const problem: unknown = JSON.parse(Buffer.from(body).toString())
    if (typeof problem !== 'object' || problem === null) return ''
    const words = ['code', 'detail'].map((name) => (problem as Record<string, unknown>)[name])
    return words
      .filter((word) => typeof word === 'string')
      .map((word) => `, ${word.slice(0, 200)}`)
      .join('')
  } catch {
    // It said "problem" and was none: the status has to do.
    return ''
  }
}
