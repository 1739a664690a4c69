import type { Signer } from '../../protocol/ed25519-policy.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { recordOpening, scanRecord, type RecordFrame } from '../../protocol/record.ts'
import type { RefusalCode } from '../../protocol/refusal.ts'
import { checkRecord, type CheckedRecord, type KeyRing } from '../../protocol/verify.ts'
import { envelopeText } from './envelope-text.ts'
import type { IndexEntry, Place } from './index-entry.ts'
import type { Lane } from './lane.ts'
import { isAnothers } from './own-keys.ts'
import type { Extent } from './segment-log.ts'

export interface FoundRecord {
  readonly record: CheckedRecord
  readonly entry: IndexEntry & { readonly extent: Extent }
}

/** A segment's bytes, and which of all they are. */
export interface SegmentBytes {
  readonly bytes: Uint8Array
  readonly segment: number
  readonly lane: Lane
}

/** What tells a device's own records. */
export interface Own {
  readonly ring: KeyRing
  readonly signer: Signer
}

/** What stands in a segment and is not looked into further, and where in a chain it says it stands, as far as it can be read. */
export interface PassedBy {
  /** 'damaged': it looks like a record and is none. */
  readonly is: 'settled' | 'foreign' | 'damaged'
  readonly place: Place | undefined
}

/**
 * What stands in a segment: this device's own records, and what is passed by; nothing for a torn record at the end. Signatures
 * are looked at only where a record is not settled.
 */
export function* ownRecords(
  { bytes, segment, lane }: SegmentBytes,
  own: Own,
  isSettled: (place: Place) => boolean,
): Generator<FoundRecord | PassedBy> {
  for (let start = nextOpening(bytes, 0); start >= 0;) {
    const scan = scanRecord(bytes, start)
    const manifest = scan.is === 'whole' ? decodeManifest(scan.frame.envelope.payload) : undefined
    if (scan.is !== 'whole' || !manifest?.ok) {
      if (scan.is !== 'cut') yield { is: 'damaged', place: undefined }
      start = nextOpening(bytes, start + 1)
      continue
    }
    const checked = isSettled(manifest.value) ? undefined : checkRecord(scan.frame, own.ring)
    const extent = { segment, offset: start, length: scan.end - start }
    const place = manifest.value
    if (!checked) yield { is: 'settled', place }
    else if (checked.ok) yield { record: checked.value, entry: entryOf(checked.value, lane, extent) }
    else yield { is: isForeign(scan.frame, checked.refusal, own) ? 'foreign' : 'damaged', place }
    start = nextOpening(bytes, checked && !checked.ok ? start + 1 : scan.end)
  }
}

function isForeign(frame: RecordFrame, refusal: RefusalCode, { signer }: Own): boolean {
  return refusal === 'KEY_UNKNOWN' && isAnothers(frame, signer)
}

function nextOpening(bytes: Uint8Array, from: number): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(recordOpening, from)
}

function entryOf(
  { manifest, digest, frame }: CheckedRecord,
  lane: Lane,
  extent: Extent,
): FoundRecord['entry'] {
  const { epoch, seq, stream } = manifest
  const length = manifest.kind === 'data' ? manifest.length : 0
  return { epoch, seq, lane, stream, digest, extent, length, envelope: envelopeText(frame) }
}
