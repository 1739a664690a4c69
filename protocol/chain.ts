import { equalBytes, noDigest, type DeviceId, type Digest, type Epoch, type Sequence } from './ids.ts'
import type { ChainPlace } from './manifest.ts'

/** Where a device's chain ends: what the next record needs to know. */
export interface ChainHead {
  readonly device: DeviceId
  readonly epoch: Epoch
  /** The seq of the next record. */
  readonly next: Sequence
  /** The digest of the last record; 32 zero bytes before the first. */
  readonly last: Digest
}

/** The head of a chain that has no record yet. */
export function newChain(device: DeviceId, epoch: Epoch): ChainHead {
  return { device, epoch, next: 0 as Sequence, last: noDigest }
}

/** The place that the next record takes. */
export function placeAfter(head: ChainHead): ChainPlace {
  return { device: head.device, epoch: head.epoch, seq: head.next, prev: head.last }
}

/** The head once a record with this digest was added. */
export function headAfter(head: ChainHead, digest: Digest): ChainHead {
  return { ...head, next: (head.next + 1) as Sequence, last: digest }
}

/** Whether a record at this place continues the chain. */
export function continues(head: ChainHead, place: ChainPlace): boolean {
  return (
    place.device === head.device &&
    place.epoch === head.epoch &&
    place.seq === head.next &&
    equalBytes(place.prev, head.last)
  )
}
