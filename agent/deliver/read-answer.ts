import { mediaTypes } from '../../protocol/contract.ts'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import { base64url, type DeviceId } from '../../protocol/ids.ts'
import { verifyReceipt, type Receipt, type ReceiptEntry } from '../../protocol/receipt.ts'
import { showText } from '../../protocol/show-text.ts'
import type { BatchEntry } from '../queue/batch.ts'
import { placeText, type AsideEntry, type IndexEntry } from '../queue/index-entry.ts'
import type { Answer } from './link.ts'

/** What an answer means for the batch that was sent. */
export type Meaning =
  | {
      readonly is: 'receipt'
      /** The server signed that it has them. */
      readonly safe: readonly IndexEntry[]
      /** The server signed that it has them without their bodies, and without them they were sent. */
      readonly withoutBody: readonly IndexEntry[]
      /** Among those: stored apart, because another record holds their place. */
      readonly forked: readonly string[]
      /** The server signed that it will not take them. */
      readonly refused: readonly AsideEntry[]
    }
  | { readonly is: 'tooLarge' }
  /** Nothing is known to be stored: keep everything and try again. */
  | { readonly is: 'nothing'; readonly why: string; readonly retryAfterMs: number | undefined }

/** Reads an answer. Only a receipt by a pinned key, for these records of this device, lets anything go. */
export function readAnswer(
  answer: Answer,
  entries: readonly BatchEntry[],
  pinned: readonly PublicKey[],
  device: DeviceId,
): Meaning {
  if (answer.is === 'cut') return { is: 'nothing', why: answer.why, retryAfterMs: undefined }
  if (answer.status === 413 && entries.length > 1) return { is: 'tooLarge' }
  const nothing = (why: string): Meaning => ({ is: 'nothing', why, retryAfterMs: answer.retryAfterMs })
  if (answer.status !== 200) return nothing(sayRefusal(answer.status, answer.mediaType, answer.body))
  const receipt = verifyReceipt(answer.body, pinned, device)
  if (!receipt.ok)
    return nothing(`not our server: status 200 without a receipt by the pinned key (${answer.mediaType})`)
  const meaning = sortOut(receipt.value, entries)
  const { safe, withoutBody, refused } = meaning
  const isAbout = safe.length + withoutBody.length + refused.length > 0
  return isAbout ? meaning : nothing('the receipt does not say that the server has what was sent')
}

function sortOut(receipt: Receipt, entries: readonly BatchEntry[]): Extract<Meaning, { is: 'receipt' }> {
  const byDigest = new Map<string, ReceiptEntry>(
    receipt.entries.map((entry) => [base64url(entry.digest), entry]),
  )
  const safe: IndexEntry[] = []
  const withoutBody: IndexEntry[] = []
  const forked: string[] = []
  const refused: AsideEntry[] = []
  for (const entry of entries) {
    const said = byDigest.get(base64url(entry.digest))
    if (said?.outcome === 'refused') refused.push({ ...entry, why: `refused by the server: ${said.refusal}` })
    else if (said && said.outcome !== 'storedWithoutBody') safe.push(entry)
    // Where the drone sent a body, somebody on the way took it off, and the record is to be sent again.
    else if (said && entry.isWithheld) withoutBody.push(entry)
    if (said?.outcome === 'forked') forked.push(placeText(entry))
  }
  return { is: 'receipt', safe, withoutBody, forked, refused }
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
      .map((word) => `, ${word}`)
      .join('')
  } catch {
    // It said "problem" and was none: the status has to do.
    return ''
  }
}
