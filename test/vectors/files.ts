import { sha256 } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { ReceiptEntry } from '../../protocol/receipt.ts'
import { batches } from './chains.ts'
import { goodRecordHex, goodRecords, type GoodRecord } from './good-records.ts'
import { hostileRecords } from './hostile-records.ts'
import { hexa, register, testKeys, type TestKey } from './keys.ts'
import { heldStreams, type HeldVector } from './held-streams.ts'
import { publicKeys } from './public-keys.ts'
import { queries, streamQuery, type QueryVector } from './queries.ts'
import { hexOf, payloadWith } from './raw.ts'
import { receipts, type ReceiptVector } from './receipts.ts'

const licence = 'CC0-1.0. The keys are public: never use them.'

/** A manifest's fields as JSON has them: bytes in hex, a path that is not UTF-8 as {"hex": …}. */
export function manifestToJson(manifest: Manifest): Record<string, unknown> {
  const { path, tags, time, ...rest } = manifest
  const shownPath = typeof path === 'string' ? path : { hex: hexOf(path) }
  const own = Object.entries({ ...rest, ...time }).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? hexOf(value) : value,
  ])
  return { ...Object.fromEntries(own), path: shownPath, tags: Object.fromEntries(tags) }
}

function goodToJson(record: GoodRecord) {
  const { id, why, manifest, content } = record
  const expect = {
    accepted: true,
    digest: hexOf(sha256(payloadWith(manifest))),
    manifest: manifestToJson(manifest),
    contentHex: content && hexOf(content),
  }
  return { id, why, hex: goodRecordHex(record), expect }
}

/** A receipt's entry as JSON has it. */
export function entryToJson(entry: ReceiptEntry) {
  return { ...entry, digest: hexOf(entry.digest) }
}

function receiptToJson({ id, why, hex, entries, query }: ReceiptVector) {
  if (!entries) return { id, why, hex, expect: { accepted: false, refusal: 'RECEIPT_INVALID' } }
  return {
    id,
    why,
    hex,
    expect: { accepted: true, entries: entries.map(entryToJson), query: query && hexOf(query) },
  }
}

function queryToJson({ id, why, hex, query }: QueryVector) {
  if (!query) return { id, why, hex, expect: { accepted: false, refusal: 'QUERY_INVALID' } }
  return { id, why, hex, expect: { accepted: true, query: bytesToHex(query) } }
}

function heldToJson({ id, why, hex, streams }: HeldVector) {
  if (!streams) return { id, why, hex, expect: { accepted: false, refusal: 'STREAMS_INVALID' } }
  return { id, why, hex, expect: { accepted: true, streams: bytesToHex(streams) } }
}

/** The same with each byte string as {"hex": …}. */
export function bytesToHex(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: hexOf(value) }
  if (Array.isArray(value)) return value.map(bytesToHex)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, bytesToHex(inner)]))
}

function keyToJson(name: string, { seed, signer }: TestKey) {
  const { bytes, id } = signer.publicKey
  return { name, seedHex: hexOf(seed), publicKeyHex: hexOf(bytes), keyIdHex: hexOf(id) }
}

const registered = register.map(({ device, key, state }) => {
  const { bytes, id } = key.signer.publicKey
  return { device, publicKeyHex: hexOf(bytes), keyIdHex: hexOf(id), state }
})

const documents = {
  'keys.json': {
    about:
      'Public keys, and whether the Ed25519 policy of docs/wire-format.md accepts them. `testKeys` are those that signed the other files.',
    licence,
    testKeys: Object.entries(testKeys).map(([name, key]) => keyToJson(name, key)),
    vectors: publicKeys.map(({ id, why, hex, accepted }) => ({ id, why, hex, expect: { accepted } })),
  },
  'records-good.json': {
    about:
      'Each `hex` is exactly one record, to be accepted under `register`. `digest` is the SHA-256 of the manifest, `contentHex` the bytes of the log, null where the record carries none.',
    licence,
    register: registered,
    vectors: goodRecords.map(goodToJson),
  },
  'records-hostile.json': {
    about:
      'Each `hex` is to be read as exactly one record and refused with this code under `register`. All but those whose name starts with signature- or first- carry a valid signature over what they hold, where they hold enough.',
    licence,
    register: registered,
    vectors: hostileRecords.map(({ id, why, hex, refusal }) => ({
      id,
      why,
      hex,
      expect: { accepted: false, refusal },
    })),
  },
  'batches.json': {
    about:
      'Each `hex` is a batch. A reader gives the records whose manifests have these `digests`, in this order, and then says that the batch is whole, malformed, too large or cut. `outcomes` are those of the receipt, on a server that holds nothing else and has stored each record before it judges the next.',
    licence,
    register: registered,
    vectors: batches,
  },
  'receipts.json': {
    about:
      'Each `hex` is what a server answered. The drone `device` pins `serverKeyHex` and nothing else. `query` is the digest of the query that it answers, where it answers one.',
    licence,
    device: hexa,
    serverKeyHex: hexOf(testKeys.server.signer.publicKey.bytes),
    vectors: receipts.map(receiptToJson),
  },
  'queries.json': {
    about:
      'Each `hex` is what a device asked. Those to accept are signed by the active key of `register`, those to refuse wherever they hold enough.',
    licence,
    register: registered,
    vectors: queries.map(queryToJson),
  },
  'streams.json': {
    about:
      'Each `hex` is what a server answered. The drone `device` pins `serverKeyHex` and nothing else, and asked with the query whose digest is `queryDigest` and which has `queryPaths` paths: in queries.json it is streams-two-paths.',
    licence,
    device: hexa,
    serverKeyHex: hexOf(testKeys.server.signer.publicKey.bytes),
    queryDigest: hexOf(streamQuery.digest),
    queryPaths: streamQuery.paths,
    vectors: heldStreams.map(heldToJson),
  },
}

/** The vector files by name, as they are kept in this folder. */
export const vectorFiles: ReadonlyMap<string, string> = new Map(
  Object.entries(documents).map(([name, document]) => [name, `${JSON.stringify(document, null, 1)}\n`]),
)
