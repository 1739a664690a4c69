import type { ReceiptEntry } from '../../protocol/receipt.ts'
import { outcomes } from '../../protocol/receipt.ts'
import { encodeCbor, type CborValue } from '../../protocol/cbor.ts'
import { sha256, type Digest, type Sequence } from '../../protocol/ids.ts'
import { hexa, testKeys } from './keys.ts'
import {
  assemble,
  byteString,
  bytesOf,
  headerOf,
  hexOf,
  textString,
  withBitFlipped,
  type RecordParts,
} from './raw.ts'
import { epoch } from './samples.ts'

export interface ReceiptVector {
  readonly id: string
  readonly why: string
  readonly hex: string
  /** The entries as a receipt has them, digests in hex; null: RECEIPT_INVALID. */
  readonly entries: readonly ReceiptEntry[] | null
  readonly query?: Digest
}

const timeMs = 1_795_298_401_000
const { signer } = testKeys.server
const digestOf = (name: string) => sha256(Buffer.from(name))
const placeOf = (seq: number) => ({ epoch, seq: seq as Sequence })

const everyOutcome: readonly ReceiptEntry[] = [
  { place: placeOf(0), digest: digestOf('0'), outcome: 'stored' },
  { place: placeOf(1), digest: digestOf('1'), outcome: 'duplicate' },
  { place: placeOf(2), digest: digestOf('2'), outcome: 'storedWithoutBody' },
  { place: placeOf(3), digest: digestOf('3'), outcome: 'forked' },
  { place: placeOf(4), digest: digestOf('4'), outcome: 'refused', refusal: 'BODY_HASH_WRONG' },
  { place: null, digest: digestOf('5'), outcome: 'refused', refusal: 'MANIFEST_MALFORMED' },
]
const oneEntry = everyOutcome.slice(0, 1)

function entryOf(entry: ReceiptEntry): CborValue {
  const code = entry.outcome === 'refused' ? entry.refusal : null
  const { place, digest } = entry
  return [place?.epoch ?? null, place?.seq ?? null, digest, outcomes.indexOf(entry.outcome), code]
}

interface Fields {
  readonly version?: string
  readonly device?: string
  readonly time?: string
  readonly entries?: string
  readonly more?: string
  readonly head?: string
}

function payloadOf(entries: readonly ReceiptEntry[], fields: Fields = {}): Uint8Array {
  const items = [
    `00${fields.version ?? '01'}`,
    `01${fields.device ?? textString(hexa)}`,
    `02${fields.time ?? hexOf(encodeCbor(timeMs))}`,
    `03${fields.entries ?? hexOf(encodeCbor(entries.map(entryOf)))}`,
  ]
  return bytesOf(`${fields.head ?? 'a4'}${items.join('')}${fields.more ?? ''}`)
}

function envelopeOf(parts: Partial<RecordParts>, by = signer): string {
  const header = headerOf(by, 'logbox-receipt')
  // An envelope is a record without its opening and its body.
  const bare = { header, payload: payloadOf(oneEntry), ...parts, opening: '', body: '' }
  return assemble(by, bare)
}

function good(id: string, why: string, entries: readonly ReceiptEntry[]): ReceiptVector {
  return { id, why, hex: envelopeOf({ payload: payloadOf(entries) }), entries }
}

const invalid = (id: string, why: string, hex: string): ReceiptVector => ({ id, why, hex, entries: null })
const signed = (id: string, why: string, fields: Fields): ReceiptVector =>
  invalid(id, why, envelopeOf({ payload: payloadOf(oneEntry, fields) }))

const digestItem = byteString(digestOf('0'))
const entry = (id: string, why: string, items: string): ReceiptVector =>
  signed(`entry-${id}`, why, { entries: `81${items}` })
const { server, otherServer } = testKeys

export const receipts: readonly ReceiptVector[] = [
  good(
    'every-outcome',
    'stored, duplicate, stored without body, forked, and refused with and without a place',
    everyOutcome,
  ),
  good('no-entries', 'a batch without records', []),
  {
    id: 'answers-query',
    why: 'the answer to a query, which it names by its digest',
    hex: envelopeOf({
      payload: payloadOf(oneEntry, { head: 'a5', more: `04${byteString(digestOf('query'))}` }),
    }),
    entries: oneEntry,
    query: digestOf('query'),
  },
  good('code-of-later', 'a code that this version does not know: one of 48 characters', [
    ...oneEntry,
    { place: placeOf(1), digest: digestOf('1'), outcome: 'refused', refusal: `LATER_${'X9'.repeat(21)}` },
  ]),
  invalid(
    'other-key',
    'signed by a key that is not pinned',
    envelopeOf({ header: headerOf(otherServer.signer, 'logbox-receipt') }, otherServer.signer),
  ),
  invalid(
    'other-key-same-id',
    'signed by another key under the pinned key id',
    envelopeOf({ header: headerOf(server.signer, 'logbox-receipt') }, otherServer.signer),
  ),
  invalid(
    'device-key',
    'signed by the device itself',
    envelopeOf({ header: headerOf(testKeys.hexa.signer, 'logbox-receipt') }, testKeys.hexa.signer),
  ),
  signed('other-device', 'a receipt for another device', { device: textString('quad-2') }),
  invalid('type-manifest', 'the type is that of a manifest', envelopeOf({ header: headerOf(signer) })),
  invalid(
    'signature-bit',
    'one bit of the signature flipped',
    envelopeOf({ signature: (message) => withBitFlipped(signer.sign(message), 100) }),
  ),
  invalid('trailing', 'a byte after the envelope', `${envelopeOf({})}00`),
  invalid('cut', 'a byte too few', envelopeOf({}).slice(0, -2)),
  invalid('empty', 'no byte at all', ''),
  invalid(
    'web-page',
    'what a captive portal answers',
    hexOf(Buffer.from('<!doctype html><title>Log in</title>')),
  ),
  invalid(
    'too-large',
    'the head of a payload of 512 KiB and a byte',
    `d284581d${'00'.repeat(29)}a05a00080001`,
  ),
  signed('version-2', 'another version', { version: '02' }),
  signed('version-long', '1 that is not minimal', { version: '1801' }),
  signed('device-number', 'a device that is a number', { device: '07' }),
  signed('device-null', 'no device', { device: 'f6' }),
  signed('time-float', 'a time that is a float', { time: 'f90000' }),
  signed('entries-map', 'entries that are no array', { entries: 'a0' }),
  signed('field-5', 'a field that does not exist', { head: 'a5', more: '0500' }),
  signed('query-number', 'a query that is a number', { head: 'a5', more: '0400' }),
  signed('query-null', 'no query, but said so', { head: 'a5', more: '04f6' }),
  signed('query-31', 'a digest of 31 bytes', {
    head: 'a5',
    more: `04${byteString(Buffer.alloc(31))}`,
  }),
  signed('query-and-more', 'a query, and a field that does not exist', {
    head: 'a6',
    more: `04${byteString(digestOf('query'))}0500`,
  }),
  entry('of-4', 'an item is missing', `84 00 00 ${digestItem} 00`),
  entry('of-6', 'an item too many', `86 00 00 ${digestItem} 00 f6 f6`),
  entry('half-a-place', 'an epoch without a seq', `85 00 f6 ${digestItem} 00 f6`),
  entry('stored-nowhere', 'only what is refused may have no place', `85 f6 f6 ${digestItem} 00 f6`),
  entry('digest-31', 'a digest of 31 bytes', `85 00 00 ${byteString(Buffer.alloc(31))} 00 f6`),
  entry('outcome-5', 'an outcome that does not exist', `85 00 00 ${digestItem} 05 f6`),
  entry(
    'stored-with-code',
    'a refusal of what was stored',
    `85 00 00 ${digestItem} 00 ${textString('KEY_UNKNOWN')}`,
  ),
  entry('refused-without-code', 'refused, but not why', `85 00 00 ${digestItem} 04 f6`),
  entry('refused-for-nothing', 'a code of no letter', `85 00 00 ${digestItem} 04 ${textString('')}`),
  entry(
    'refused-at-length',
    'a code of 49 characters',
    `85 00 00 ${digestItem} 04 ${textString('X'.repeat(49))}`,
  ),
  entry(
    'refused-with-escape',
    'a code that a terminal would obey',
    `85 00 00 ${digestItem} 04 ${textString('KEY\u001b[2J')}`,
  ),
  entry(
    'refused-for-prototype',
    'a code in small letters, and the name of something every object has',
    `85 00 00 ${digestItem} 04 ${textString('constructor')}`,
  ),
]
