/** What both sides must agree on besides the format of a record: paths, media types and limits. */

export const paths = {
  chunks: '/v1/chunks',
  health: '/healthz',
  ready: '/readyz',
  metrics: '/metrics',
} as const

export const mediaTypes = {
  /** A batch: a CBOR Sequence of records (RFC 8742). */
  batch: 'application/cbor-seq',
  /** A receipt: one COSE_Sign1 (RFC 9052). */
  receipt: 'application/cose',
  /** An error (RFC 9457). */
  problem: 'application/problem+json',
} as const

const KiB = 1024
const MiB = 1024 * KiB

/** All in bytes, but for maxBatchRecords. A record over them is refused before its signature is looked at. */
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
} as const
