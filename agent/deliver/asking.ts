import { limits, mediaTypes, paths } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { DeviceId } from '../../protocol/ids.ts'
import { signQuery, type RecordName } from '../../protocol/query.ts'
import { maxReceiptBytes } from '../../protocol/receipt.ts'
import type { Gate } from './gate.ts'
import { linkCodes, type Link, type LinkRequest } from './link.ts'
import type { RecallParts } from './recall.ts'

/** The longest answer that is read: the receipt for the largest batch is within this. */
export const maxAnswerBytes = maxReceiptBytes + 1024
export const acceptedTypes = `${mediaTypes.receipt}, ${mediaTypes.problem}`

/** Asks the server which of these records it has. At most 4096, none twice. */
export function askForReceipts(
  records: readonly RecordName[],
  device: DeviceId,
  signer: Signer,
): LinkRequest {
  const names = records.map(({ epoch, seq, digest }) => ({ epoch, seq, digest }))
  return {
    method: 'POST',
    path: paths.receipts,
    mediaType: mediaTypes.query,
    accept: acceptedTypes,
    body: signQuery({ asks: 'records', device, records: names }, signer).bytes,
    maxAnswerBytes,
  }
}

/** Asks the server what it has of files. A gate that is closed is an answer, too. */
export function askForStreams(link: Pick<Link, 'send'>, gate: Gate | undefined): RecallParts['ask'] {
  return async (query, signal) => {
    const why = await gate?.closedBy(signal)
    if (why !== undefined)
      return { is: 'cut', code: linkCodes.abandoned, why: `held back: ${why}`, sentBytes: 0 }
    return link.send(streamsRequest(query), signal)
  }
}

function streamsRequest(query: Uint8Array): LinkRequest {
  return {
    method: 'POST',
    path: paths.streams,
    mediaType: mediaTypes.query,
    accept: `${mediaTypes.streams}, ${mediaTypes.problem}`,
    body: query,
    maxAnswerBytes: limits.maxStreamsBytes + 1024,
  }
}
