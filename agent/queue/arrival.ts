import type { EncodedBody } from '../../protocol/body.ts'
import { placeAfter, type ChainHead } from '../../protocol/chain.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { ByteOffset, Digest } from '../../protocol/ids.ts'
import type { LossReason, RecordTime } from '../../protocol/manifest.ts'
import { seal, sealChunk, type SealedRecord } from '../../protocol/seal.ts'
import type { IndexEntry, Place } from './index-entry.ts'
import type { Lane } from './lane.ts'
import type { ResumePoint } from './resume-point.ts'

interface Common {
  readonly label: StreamLabel
  readonly lane: Lane
  /** From where the file is to be read on once this is safe; null: the stream ends with it; 'stays': from where it is anyway. */
  readonly resume: ResumePoint | null | 'stays'
  readonly anew?: Anew
}

/** It holds what another record held, all or some of it, and waits for no room, and for no other. */
export interface Anew {
  readonly kind: 'data' | 'loss' | 'close'
  /** Where the first stands that held it, that one or another: whatever was said of the file behind it is newer. */
  readonly of: Place
  /** That one, which leaves the queue with the very write that takes this in; undefined where more of it is to come. */
  readonly replaces: IndexEntry | undefined
}

/** A chunk of a file. */
export interface DataArrival extends Common {
  readonly kind: 'data'
  readonly offset: ByteOffset
  readonly body: EncodedBody
}

/** Bytes known to have been there and never read; `length` is null where nobody knows how many. */
export interface LossArrival extends Common {
  readonly kind: 'loss'
  readonly offset: ByteOffset
  readonly length: number | null
  readonly reason: LossReason
}

/** The whole file, as it was read once more when it was finished. */
export interface CloseArrival extends Common {
  readonly kind: 'close'
  readonly length: number
  readonly sha256: Digest
}

/** What is ready to be sealed. */
export type Arrival = DataArrival | LossArrival | CloseArrival

/** The record of it at the end of the chain. */
export function sealArrival(
  arrival: Arrival,
  head: ChainHead,
  time: RecordTime,
  signer: Signer,
): SealedRecord {
  const common = { ...placeAfter(head), ...arrival.label, time }
  switch (arrival.kind) {
    case 'data':
      return sealChunk(arrival.label, arrival.offset, arrival.body, head, time, signer)
    case 'loss': {
      const { kind, offset, length, reason } = arrival
      return seal({ kind, ...common, offset, length, reason }, null, head, signer)
    }
    case 'close': {
      const { kind, length, sha256 } = arrival
      return seal({ kind, ...common, length, sha256 }, null, head, signer)
    }
  }
}
