import { encodeCbor } from '../../protocol/cbor.ts'
import { sha256 } from '../../protocol/ids.ts'
import type { HeldStream, Range } from '../../protocol/streams.ts'
import { hexa, testKeys } from './keys.ts'
import { streamQuery } from './queries.ts'
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
import { label, offsetOf, text } from './samples.ts'

export interface HeldVector {
  readonly id: string
  readonly why: string
  readonly hex: string
  /** null: STREAMS_INVALID. */
  readonly streams: readonly HeldStream[] | null
}

export const answeredMs = 1_795_298_402_000
const { server, otherServer } = testKeys

const first: Range = { offset: offsetOf(0), length: text.length, sha256: sha256(text) }
const last: Range = { offset: offsetOf(1_048_576), length: 512, sha256: sha256(Buffer.from('last')) }
const { stream } = label
const everyShape: readonly HeldStream[] = [
  { stream, path: 0, run: { first, last }, closed: null },
  { stream, path: 0, run: { first, last: first }, closed: { length: text.length, sha256: first.sha256 } },
  { stream, path: 1, run: null, closed: null },
]

const rangeItem = ({ offset, length, sha256: digest }: Range): string =>
  `83 ${hexOf(encodeCbor(offset))} ${hexOf(encodeCbor(length))} ${byteString(digest)}`
const idItem = byteString(Buffer.from(stream, 'base64url'))

function streamItem({ path, run, closed }: HeldStream): string {
  const ends = run ? `${rangeItem(run.first)} ${rangeItem(run.last)}` : 'f6 f6'
  const closing = closed ? `82 ${hexOf(encodeCbor(closed.length))} ${byteString(closed.sha256)}` : 'f6'
  return `85 ${idItem} ${hexOf(encodeCbor(path))} ${ends} ${closing}`
}

interface Fields {
  readonly head?: string
  readonly version?: string
  readonly device?: string
  readonly query?: Uint8Array
  readonly streams?: string
  readonly more?: string
}

function payloadOf(fields: Fields): Uint8Array {
  const items = [
    `00${fields.version ?? '01'}`,
    `01${fields.device ?? textString(hexa)}`,
    `02${hexOf(encodeCbor(answeredMs))}`,
    `03${byteString(fields.query ?? streamQuery.digest)}`,
    `04${fields.streams ?? '80'}`,
  ]
  return bytesOf(`${fields.head ?? 'a5'}${items.join('')}${fields.more ?? ''}`)
}

const listOf = (streams: readonly HeldStream[]): string =>
  hexOf(bytesOf(`8${streams.length}${streams.map(streamItem).join('')}`))

function envelopeOf(parts: Partial<RecordParts>, by = server.signer): string {
  const header = headerOf(by, 'logbox-streams')
  return assemble(by, { header, payload: payloadOf({}), ...parts, opening: '', body: '' })
}

const good = (id: string, why: string, streams: readonly HeldStream[]): HeldVector => ({
  id,
  why,
  hex: envelopeOf({ payload: payloadOf({ streams: listOf(streams) }) }),
  streams,
})
const invalid = (id: string, why: string, hex: string): HeldVector => ({ id, why, hex, streams: null })
const signed = (id: string, why: string, fields: Fields): HeldVector =>
  invalid(id, why, envelopeOf({ payload: payloadOf(fields) }))
const item = (id: string, why: string, items: string): HeldVector =>
  signed(`stream-${id}`, why, { streams: `81 ${items}` })
const range = rangeItem(first)
const digestItem = byteString(first.sha256)

export const heldStreams: readonly HeldVector[] = [
  good('every-shape', 'a run of several records, one of one record that was closed, and no run', everyShape),
  good('none', 'nothing is there', []),
  signed('other-query', 'the answer to another query', { query: sha256(Buffer.from('another')) }),
  signed('other-device', 'an answer for another device', { device: textString('quad-2') }),
  invalid(
    'other-key',
    'signed by a key that is not pinned',
    envelopeOf({ header: headerOf(otherServer.signer, 'logbox-streams') }, otherServer.signer),
  ),
  invalid(
    'device-key',
    'signed by the device itself',
    envelopeOf({ header: headerOf(testKeys.hexa.signer, 'logbox-streams') }, testKeys.hexa.signer),
  ),
  invalid(
    'type-receipt',
    'the type is that of a receipt',
    envelopeOf({ header: headerOf(server.signer, 'logbox-receipt') }),
  ),
  invalid(
    'signature-bit',
    'one bit of the signature flipped',
    envelopeOf({ signature: (message) => withBitFlipped(server.signer.sign(message), 100) }),
  ),
  invalid('trailing', 'a byte after the envelope', `${envelopeOf({})}00`),
  invalid('cut', 'a byte too few', envelopeOf({}).slice(0, -2)),
  invalid('empty', 'no byte at all', ''),
  signed('version-2', 'another version', { version: '02' }),
  signed('field-5', 'a field that does not exist', { head: 'a6', more: '0500' }),
  signed('streams-map', 'a map in place of a list', { streams: 'a0' }),
  item('path-2', 'a path that was not asked for', `85 ${idItem} 02 ${range} ${range} f6`),
  item('path-null', 'no path', `85 ${idItem} f6 ${range} ${range} f6`),
  item('id-15', 'a stream id of 15 bytes', `85 ${byteString(Buffer.alloc(15))} 00 ${range} ${range} f6`),
  item('of-4', 'an item is missing', `84 ${idItem} 00 ${range} ${range}`),
  item('half-a-run', 'a first range without a last', `85 ${idItem} 00 ${range} f6 f6`),
  item('backwards', 'a last range before the first', `85 ${idItem} 00 ${rangeItem(last)} ${range} f6`),
  item('length-0', 'a range of no byte', `85 ${idItem} 00 83 00 00 ${digestItem} ${range} f6`),
  item(
    'length-huge',
    'a range longer than a record may be',
    `85 ${idItem} 00 ${range} 83 00 1a 00800001 ${digestItem} f6`,
  ),
  item(
    'end-huge',
    'a range that ends beyond 2^53 - 1',
    `85 ${idItem} 00 ${range} 83 1b 001fffffffffffff 01 ${digestItem} f6`,
  ),
  item('closed-length', 'closed with a length only', `85 ${idItem} 00 ${range} ${range} 81 00`),
  item(
    'closed-31',
    'closed with a hash of 31 bytes',
    `85 ${idItem} 00 ${range} ${range} 82 00 ${byteString(Buffer.alloc(31))}`,
  ),
]
