import { decodeCbor, encodeCbor, type CborMap, type CborValue } from '../../protocol/cbor.ts'
import { sha256 } from '../../protocol/ids.ts'
import { receipts } from './receipts.ts'
import { goodRecordHex, goodRecords } from './good-records.ts'
import { heldStreams } from './held-streams.ts'
import { testKeys } from './keys.ts'
import { queries, streamQuery } from './queries.ts'
import { byteString, bytesOf, headerOf, hexOf, payloadWith } from './raw.ts'

/** The worked example of docs/wire-format.md: a record, byte by byte, with what each byte says. */
const names = [
  'version',
  'kind: data',
  'device',
  'epoch',
  'seq',
  'prev: nothing stands before seq 0',
  'wall clock, ms',
  'monotonic clock, ms',
  'boot id',
  'clock state: synchronized',
  'stream',
  'path',
  'offset',
  'length',
  'sha256 of the content',
  'encoding: identity',
  'body length',
  'sha256 of the body',
  'tags',
]

const bytesALine = 35
const commentColumn = 80

/** One line of the example: bytes, and what they say. Long ones are broken. */
function line(indent: number, hex: string, says: string): string {
  const digits = hexOf(bytesOf(hex))
  const rows = digits.match(new RegExp(`.{1,${2 * bytesALine}}`, 'g')) ?? ['']
  const margin = ' '.repeat(indent)
  return rows
    .map((row, index) => (margin + row).padEnd(commentColumn) + (index === 0 ? `; ${says}` : ';'))
    .join('\n')
}

const headOf = (bytes: Uint8Array): string => byteString(bytes).slice(0, -2 * bytes.length)

function record() {
  const found = goodRecords.find(({ id }) => id === 'data-identity')
  if (!found?.body) throw new Error('the example is not there')
  return { ...found, body: found.body }
}

function shown(value: CborValue | undefined): string {
  if (typeof value === 'string') return ` "${value}"`
  if (value instanceof Map) return ` ${JSON.stringify(Object.fromEntries(value))}`
  return typeof value === 'number' ? ` ${value}` : ''
}

function fieldLines(payload: Uint8Array): string[] {
  const fields = decodeCbor(payload) as CborMap
  return [...fields].map(([key, value]) => {
    const name = names[Number(key)] ?? ''
    const isSaid = name.includes(':')
    return line(
      8,
      hexOf(encodeCbor(key)) + hexOf(encodeCbor(value)),
      `${key} ${name}${isSaid ? '' : shown(value)}`,
    )
  })
}

function workedRecord(): string {
  const { manifest, body } = record()
  const { signer } = testKeys.hexa
  const payload = payloadWith(manifest)
  const header = bytesOf(headerOf(signer))
  const signature = bytesOf(goodRecordHex(record())).subarray(-66 - 2 - body.length, -2 - body.length)
  return [
    line(0, 'da4c6f6762', 'tag 1282369378, "Logb"'),
    line(0, '82', 'an array of two: envelope, body'),
    line(2, 'd2', 'tag 18: COSE_Sign1'),
    line(2, '84', 'an array of four'),
    line(4, headOf(header), `the protected header: ${header.length} bytes`),
    line(6, 'a3', 'a map of three'),
    line(8, '0127', '1 (alg): -8, EdDSA'),
    line(8, `04${byteString(signer.publicKey.id)}`, '4 (kid): the key id'),
    line(8, hexOf(header.subarray(-17)), '16 (typ): "logbox-manifest"'),
    line(4, 'a0', 'the unprotected header: empty'),
    line(4, headOf(payload), `the manifest: ${payload.length} bytes`),
    line(6, hexOf(payload.subarray(0, 1)), `a map of ${names.length}`),
    ...fieldLines(payload),
    line(4, hexOf(signature.subarray(0, 2)), 'the signature: 64 bytes'),
    line(6, hexOf(signature.subarray(2, 34)), 'R'),
    line(6, hexOf(signature.subarray(34)), 'S'),
    line(2, headOf(body), `the body: ${body.length} bytes`),
    line(4, hexOf(body), JSON.stringify(Buffer.from(body).toString())),
  ].join('\n')
}

function workedFacts(): string {
  const { manifest } = record()
  const { seed, signer } = testKeys.hexa
  return [
    `secret key (RFC 8032, 7.1, TEST 1)  ${hexOf(seed)}`,
    `public key                          ${hexOf(signer.publicKey.bytes)}`,
    `key id                              ${hexOf(signer.publicKey.id)}`,
    `digest of the record                ${hexOf(sha256(payloadWith(manifest)))}`,
  ].join('\n')
}

function workedReceipt(): string {
  const { publicKey } = testKeys.server.signer
  const receipt = receipts.find(({ id }) => id === 'every-outcome')
  return [`; under the key ${hexOf(publicKey.bytes)}`, ...rowsOf(receipt?.hex)].join('\n')
}

const rowsOf = (hex: string | undefined): string[] => (hex ?? '').match(/.{1,100}/g) ?? []

function workedQuery(): string {
  const query = queries.find(({ id }) => id === 'streams-two-paths')
  return [`; under the device's key`, ...rowsOf(query?.hex)].join('\n')
}

function workedStreams(): string {
  const answer = heldStreams.find(({ id }) => id === 'every-shape')
  return [
    `; under the server's key; the digest of the query is ${hexOf(streamQuery.digest)}`,
    ...rowsOf(answer?.hex),
  ].join('\n')
}

/** The blocks of the document, by the name in the comment that stands before each. */
const workedBlocks: ReadonlyMap<string, string> = new Map([
  ['facts', workedFacts()],
  ['record', workedRecord()],
  ['receipt', workedReceipt()],
  ['query', workedQuery()],
  ['streams', workedStreams()],
])

/** The document with its worked example made anew. */
export function withWorkedExample(document: string): string {
  return document.replaceAll(
    /(<!-- worked: (\w+) -->\n\n```text\n)[\s\S]*?(\n```)/g,
    (_all, before: string, name: string, after: string) => before + (workedBlocks.get(name) ?? '') + after,
  )
}
