import { encodeCbor } from '../../protocol/cbor.ts'
import { sha256, type Sequence } from '../../protocol/ids.ts'
import type { Query, RecordQuery, StreamQuery } from '../../protocol/query.ts'
import { hexa, quad, testKeys } from './keys.ts'
import { assemble, byteString, bytesOf, headerOf, hexOf, textString, type RecordParts } from './raw.ts'
import { epoch } from './samples.ts'

export interface QueryVector {
  readonly id: string
  readonly why: string
  readonly hex: string
  /** null: QUERY_INVALID. */
  readonly query: Query | null
}

const { signer } = testKeys.hexa
const digestOf = (name: string) => sha256(Buffer.from(name))

const nonce = bytesOf('a5'.repeat(16))
const recordsQuery: RecordQuery = {
  asks: 'records',
  device: hexa,
  records: [0, 7].map((seq) => ({ epoch, seq: seq as Sequence, digest: digestOf(`${seq}`) })),
}
const streamsQuery: StreamQuery = {
  asks: 'streams',
  device: hexa,
  nonce,
  paths: ['/var/log/flight/0007.log', bytesOf('2fff')],
}

/** What is said of a query is put together here by hand: no code of protocol/query.ts. */
interface Fields {
  readonly head?: string
  readonly version?: string
  readonly kind?: string
  readonly device?: string
  readonly rest: string
  readonly more?: string
}

function payloadOf({ head, version, kind, device, rest, more }: Fields): Uint8Array {
  const common = `00${version ?? '01'} 01${kind ?? '00'} 02${device ?? textString(hexa)}`
  return bytesOf(`${head ?? 'a4'} ${common} ${rest} ${more ?? ''}`)
}

const nameItem = ({ seq, digest }: { seq: number; digest: Uint8Array }): string =>
  `83 ${hexOf(encodeCbor(epoch))} ${hexOf(encodeCbor(seq))} ${byteString(digest)}`
const recordsRest = `03 82 ${recordsQuery.records.map(nameItem).join(' ')}`
const pathsItem = `82 ${textString('/var/log/flight/0007.log')} 42 2fff`
const streamsRest = `04 ${byteString(nonce)} 05 ${pathsItem}`
const ofStreams = { head: 'a5', kind: '01' }

const recordsPayload = payloadOf({ rest: recordsRest })
const streamsPayload = payloadOf({ ...ofStreams, rest: streamsRest })

function envelopeOf(parts: Partial<RecordParts>, by = signer): string {
  const header = headerOf(by, 'logbox-query')
  return assemble(by, { header, payload: recordsPayload, ...parts, opening: '', body: '' })
}

/** The query that streams.json answers. */
export const streamQuery = { digest: sha256(streamsPayload), paths: streamsQuery.paths.length }

const invalid = (id: string, why: string, hex: string): QueryVector => ({ id, why, hex, query: null })
const signed = (id: string, why: string, fields: Fields): QueryVector =>
  invalid(id, why, envelopeOf({ payload: payloadOf(fields) }))
const records = (id: string, why: string, list: string): QueryVector =>
  signed(`records-${id}`, why, { rest: `03 ${list}` })
const paths = (id: string, why: string, list: string): QueryVector =>
  signed(`paths-${id}`, why, { ...ofStreams, rest: `04 ${byteString(nonce)} 05 ${list}` })
const manyPaths = Array.from({ length: 65 }, (_, at) => textString(`/${at}`)).join(' ')
const zero = { seq: 0, digest: digestOf('0') }
const digestItem = byteString(digestOf('0'))

export const queries: readonly QueryVector[] = [
  { id: 'records-two', why: 'two records of one chain', hex: envelopeOf({}), query: recordsQuery },
  {
    id: 'records-nonce',
    why: 'two records, and a nonce, so that what the answer leaves out is not there',
    hex: envelopeOf({
      payload: payloadOf({ head: 'a5', rest: recordsRest, more: `04 ${byteString(nonce)}` }),
    }),
    query: { ...recordsQuery, nonce },
  },
  {
    id: 'streams-two-paths',
    why: 'two paths, one of which is not UTF-8',
    hex: envelopeOf({ payload: streamsPayload }),
    query: streamsQuery,
  },
  {
    id: 'other-device',
    why: 'another device, signed by its own key',
    hex: envelopeOf(
      {
        header: headerOf(testKeys.quad.signer, 'logbox-query'),
        payload: payloadOf({ device: textString(quad), rest: recordsRest }),
      },
      testKeys.quad.signer,
    ),
    query: { ...recordsQuery, device: quad },
  },
  invalid('type-manifest', 'the type is that of a manifest', envelopeOf({ header: headerOf(signer) })),
  invalid('trailing', 'a byte after the envelope', `${envelopeOf({})}00`),
  invalid('cut', 'a byte too few', envelopeOf({}).slice(0, -2)),
  invalid('empty', 'no byte at all', ''),
  invalid('json', 'what is no CBOR', hexOf(Buffer.from('{"records":[]}'))),
  invalid(
    'too-large',
    'the head of a payload of 256 KiB and a byte',
    `d284581b${'00'.repeat(27)}a05a00040001`,
  ),
  signed('version-2', 'another version', { version: '02', rest: recordsRest }),
  signed('kind-2', 'a kind that does not exist', { kind: '02', rest: recordsRest }),
  signed('kind-of-other', 'the kind of the other query', { kind: '01', rest: recordsRest }),
  signed('device-number', 'a device that is a number', { device: '07', rest: recordsRest }),
  signed('device-dots', 'a device that names a folder', { device: textString('..'), rest: recordsRest }),
  signed('field-6', 'a field that does not exist', { head: 'a5', rest: recordsRest, more: '0600' }),
  signed('both', 'records and paths in one', {
    head: 'a6',
    rest: `${recordsRest} ${streamsRest}`,
  }),
  signed('unsorted', 'fields that are not in their order', {
    ...ofStreams,
    rest: `05 ${pathsItem} 04 ${byteString(nonce)}`,
  }),
  signed('nonce-15', 'a nonce of 15 bytes', {
    ...ofStreams,
    rest: `04 ${byteString(nonce.subarray(1))} 05 ${pathsItem}`,
  }),
  signed('nonce-none', 'no nonce', { head: 'a4', kind: '01', rest: `05 ${pathsItem}` }),
  signed('records-nonce-15', 'a nonce of 15 bytes', {
    head: 'a5',
    rest: recordsRest,
    more: `04 ${byteString(nonce.subarray(1))}`,
  }),
  records('none', 'no record', '80'),
  records('twice', 'one record twice', `82 ${nameItem(zero)} ${nameItem(zero)}`),
  records('no-list', 'a map in place of a list', 'a0'),
  records('of-2', 'an item is missing', `81 82 00 ${digestItem}`),
  records('of-4', 'an item too many', `81 84 00 00 ${digestItem} f6`),
  records('digest-31', 'a digest of 31 bytes', `81 83 00 00 ${byteString(Buffer.alloc(31))}`),
  records('epoch-negative', 'an epoch below 0', `81 83 20 00 ${digestItem}`),
  records('seq-null', 'no seq', `81 83 00 f6 ${digestItem}`),
  paths('none', 'no path', '80'),
  paths('65', 'a path too many', `98 41 ${manyPaths}`),
  paths('twice', 'one path twice', `82 ${textString('/a')} ${textString('/a')}`),
  paths('empty', 'an empty path', '81 60'),
  paths('nul', 'a path with NUL', `81 ${textString('/a\0')}`),
  paths('utf8-bytes', 'a path in UTF-8 as bytes', `81 ${byteString(Buffer.from('/a'))}`),
  paths('number', 'a path that is a number', '81 07'),
]
