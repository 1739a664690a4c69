import type { RefusalCode } from '../../protocol/refusal.ts'
import { wrongBodies, wrongFrames, wrongContents } from './hostile-bodies.ts'
import { malformedEnvelopes, unknownKeys } from './hostile-envelopes.ts'
import { malformedRecords, largeRecords } from './hostile-frames.ts'
import { malformedManifests, invalidManifests } from './hostile-manifests.ts'
import { wrongSignatures } from './hostile-signatures.ts'
import { record, refusedAs, type HostileRecord } from './hostile-record.ts'
import { quad, testKeys } from './keys.ts'
import { bytesOf, headerOf, payloadWith, type RecordParts } from './raw.ts'
import { dataOf, text } from './samples.ts'

const unsigned = (): Uint8Array => new Uint8Array(64)

const mixed = (id: string, refusal: RefusalCode, why: string, parts: Partial<RecordParts>) =>
  refusedAs(refusal)(`first-${id}`, why, record({ signature: unsigned, ...parts }))

/** Two things wrong at once: the check that comes first names the refusal. */
function firstWrong(): HostileRecord[] {
  const unregistered = headerOf(testKeys.unregistered.signer)
  return [
    mixed('frame', 'RECORD_MALFORMED', 'framing before the header', { header: '', body: 'f7' }),
    mixed('header', 'ENVELOPE_MALFORMED', 'the header before the manifest', {
      header: '',
      payload: bytesOf('80'),
    }),
    mixed('manifest', 'MANIFEST_MALFORMED', 'the manifest before the key', {
      header: unregistered,
      payload: bytesOf('80'),
    }),
    mixed('key', 'KEY_UNKNOWN', 'the key before the signature', { header: unregistered }),
    mixed('signature', 'SIGNATURE_WRONG', 'the signature before the body', { body: '40' }),
    mixed('quad', 'KEY_UNKNOWN', "the key of the manifest's device counts", {
      payload: payloadWith({ ...dataOf(text), device: quad }),
    }),
  ]
}

export const hostileRecords: readonly HostileRecord[] = [
  ...malformedRecords(),
  ...largeRecords(),
  ...malformedEnvelopes(),
  ...malformedManifests(),
  ...invalidManifests(),
  ...unknownKeys(),
  ...wrongSignatures(),
  ...wrongBodies(),
  ...wrongFrames(),
  ...wrongContents(),
  ...firstWrong(),
]
