import type { Signer } from '../../protocol/ed25519-policy.ts'
import { decodeManifest, type Manifest } from '../../protocol/manifest.ts'
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
 * What stands in a segment: this device's own records, and what is passed by; nothing for a torn record at the end, though before
 * another record it is damage. Signatures are looked at only where a record is not settled.
 */
export function* ownRecords(
  segment: SegmentBytes,
  own: Own,
  isSettled: (place: Place) => boolean,
): Generator<FoundRecord | PassedBy> {
  const { bytes } = segment
  let toldTo = 0
  for (let start = nextOpening(bytes, 0); start >= 0;) {
    const { what, end } = lookAt(segment, start, own, isSettled)
    if (what && start > toldTo) yield { is: 'damaged', place: undefined }
    if (what) yield what
    // How long it was that is damaged nobody knows: it goes as far as the next one.
    if (what) toldTo = end ?? Infinity
    start = nextOpening(bytes, end ?? start + 1)
  }
}

interface Look {
  /** undefined: the end of a record is missing, as where one was torn. */
  readonly what: FoundRecord | PassedBy | undefined
  /** undefined: there may be none, or a shorter one. */
  readonly end?: number
}

function lookAt(
  { bytes, segment, lane }: SegmentBytes,
  start: number,
  own: Own,
  isSettled: (place: Place) => boolean,
): Look {
  const scan = scanRecord(bytes, start)
  if (scan.is === 'cut') return { what: undefined }
  const manifest = scan.is === 'whole' ? decodeManifest(scan.frame.envelope.payload) : undefined
  if (scan.is !== 'whole' || !manifest?.ok) return { what: { is: 'damaged', place: undefined } }
  const { frame, end } = scan
  const place = manifest.value
  if (isSettled(place) && isAsLong(place, frame)) return { what: { is: 'settled', place }, end }
  const checked = checkRecord(frame, own.ring)
  if (!checked.ok)
    return { what: { is: isForeign(frame, checked.refusal, own) ? 'foreign' : 'damaged', place } }
  const extent = { segment, offset: start, length: end - start }
  return { what: { record: checked.value, entry: entryOf(checked.value, lane, extent) }, end }
}

/** Else another record may begin within its bytes. */
function isAsLong(manifest: Manifest, { body }: RecordFrame): boolean {
  return (body?.length ?? 0) === (manifest.kind === 'data' ? manifest.bodyLength : 0)
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
