import {
  base64url,
  digestBytes,
  parseBase64url,
  parseEpoch,
  parseSequence,
  type Digest,
} from '../../protocol/ids.ts'
import type { RecordName } from '../../protocol/query.ts'
import { noteKey } from './index-entry.ts'
import { put, type IndexStore, type IndexWrite } from './index-store.ts'
import { parseObject } from './resume-point.ts'

/** Small things that are to be known again after a start. Losing one costs a question to the server, or bytes carried that need not be. */
export type NoteName =
  | 'capabilities'
  | 'stores'
  /** Whether files are to be begun again, because a store lacks what another one gave a receipt for. */
  | 'owed'
  /** Streams of which the server has lost what it signed for. */
  | 'void'
  /** Files that were there before the agent, and are still to be met. */
  | 'firstLook'

/** What 'firstLook' says until there was one. */
export const firstLookIsDue = 'due'

const lastReceiptedKey = noteKey('lastReceipted')

/** Written in one batch with what forgets the record. */
export function lastReceiptedWrite({ epoch, seq, digest }: RecordName): IndexWrite {
  return put(lastReceiptedKey, JSON.stringify({ epoch, seq, digest: base64url(digest) }))
}

/** The record that was forgotten last for a receipt: whoever gave it must have it. */
export async function readLastReceipted(index: IndexStore): Promise<RecordName | undefined> {
  const { epoch, seq, digest } = parseObject((await index.get(lastReceiptedKey)) ?? '')
  const [parsedEpoch, parsedSeq] = [parseEpoch(epoch), parseSequence(seq)]
  const bytes = typeof digest === 'string' ? parseBase64url(digest, digestBytes) : undefined
  if (parsedEpoch === undefined || parsedSeq === undefined || !bytes) return undefined
  return { epoch: parsedEpoch, seq: parsedSeq, digest: bytes as Digest }
}
