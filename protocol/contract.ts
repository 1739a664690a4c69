/** What both sides must agree on besides the format of a record: paths, media types and limits. */

export const paths = {
  chunks: '/v1/chunks',
  /** Which of these records are safe: a query of the device, answered by a receipt. */
  receipts: '/v1/receipts',
  /** What is here of the files at these paths: a query of the device, answered by a signed list. */
  streams: '/v1/streams',
  capabilities: '/v1/capabilities',
  health: '/healthz',
  ready: '/readyz',
  metrics: '/metrics',
} as const

export const mediaTypes = {
  /** A batch: a CBOR Sequence of records (RFC 8742). */
  batch: 'application/cbor-seq',
  /** A receipt: one COSE_Sign1 (RFC 9052). */
  receipt: 'application/cose',
  /** A query of a device, and a list of streams: likewise. */
  query: 'application/cose',
  streams: 'application/cose',
  capabilities: 'application/json',
  /** An error (RFC 9457). */
  problem: 'application/problem+json',
} as const

const KiB = 1024
const MiB = 1024 * KiB

/** All in bytes, but for those that count records, paths and streams. A record over them is refused before its signature is looked at. */
export const limits = {
  maxManifestBytes: 4 * KiB,
  maxPathBytes: 2 * KiB,
  maxTagsBytes: 1 * KiB,
  /** Of the log's bytes in one record, and so of its body, which is never longer. */
  maxChunkBytes: 8 * MiB,
  maxBatchBytes: 16 * MiB,
  maxBatchRecords: 4096,
  /** What a record is longer than its body, at most: heads, protected header, manifest, signature. */
  maxRecordOverheadBytes: 4 * KiB + 128,
  /** Of a query's payload: one for every record of the largest batch is smaller. */
  maxQueryBytes: 256 * KiB,
  maxQueryPaths: 64,
  /** Of all paths of a query together; each has the same share, and gives its newest. */
  maxAnswerStreams: 1024,
  /** Of the payload of an answer with that many. */
  maxStreamsBytes: 256 * KiB,
} as const
