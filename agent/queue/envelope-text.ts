import { encodeEnvelope } from '../../protocol/cose.ts'
import { base64url } from '../../protocol/ids.ts'
import { encodeRecord, scanRecord, type RecordFrame } from '../../protocol/record.ts'

/** The signed envelope of a record, as an index entry holds it. */
export function envelopeText(frame: RecordFrame): string {
  return base64url(encodeEnvelope(frame.envelope))
}

/** The same, of a record that was just sealed. */
export function envelopeTextOf(record: Uint8Array): string {
  const scan = scanRecord(record)
  if (scan.is !== 'whole') throw new Error('a record that was just sealed is not whole')
  return envelopeText(scan.frame)
}

/** The record of an envelope that an index entry holds, with this body, or with none. */
export function recordOf(envelope: string, body: Uint8Array | null): Uint8Array {
  return encodeRecord(Buffer.from(envelope, 'base64url'), body)
}
