import * as fc from 'fast-check'
import type { ChainHead } from '../../protocol/chain.ts'
import type { StreamLabel, Tags } from '../../protocol/chunk.ts'
import { streamIdFrom, type ByteOffset, type DeviceId, type Digest, type Epoch } from '../../protocol/ids.ts'
import type { Sequence, StreamId } from '../../protocol/ids.ts'
import { logPathFromBytes, type LogPath } from '../../protocol/log-path.ts'
import { areTags, clockStates, lossReasons, type RecordTime } from '../../protocol/manifest.ts'

/** Inputs as wide as the format allows. */
export const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength })

export const count: fc.Arbitrary<number> = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
)

export const device: fc.Arbitrary<DeviceId> = fc
  .stringMatching(/^[a-z0-9._-]{1,64}$/)
  .filter((name) => name !== '.' && name !== '..')
  .map((name) => name as DeviceId)

export const digest: fc.Arbitrary<Digest> = bytes(32, 32).map((value) => value as Digest)

export const path: fc.Arbitrary<LogPath> = fc
  .oneof(
    bytes(1, 300),
    bytes(1_900, 2_048),
    fc.string({ unit: 'binary', minLength: 1 }).map((text) => Buffer.from(text)),
    fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => Buffer.from(`\uFEFF/${text}`)),
  )
  .map((raw) => logPathFromBytes(raw.filter((byte) => byte !== 0)))
  .filter((parsed) => parsed !== undefined)

const tagText = fc.string({ unit: 'binary', maxLength: 60 })
export const tags: fc.Arbitrary<Tags> = fc
  .array(fc.tuple(tagText, fc.oneof(tagText, fc.constant('\uFEFF'))), { maxLength: 12 })
  .map((pairs) => new Map(pairs))
  .filter(areTags)

export const time: fc.Arbitrary<RecordTime> = fc.record({
  wallMs: count,
  monotonicMs: count,
  bootId: bytes(16, 16),
  clockState: fc.constantFrom(...clockStates),
})

const stream: fc.Arbitrary<StreamId> = bytes(16, 16)
  .map(streamIdFrom)
  .filter((id) => id !== undefined)

export const label: fc.Arbitrary<StreamLabel> = fc.record({ stream, path, tags })

export const head: fc.Arbitrary<ChainHead> = fc.record({
  device,
  epoch: count.map((value) => value as Epoch),
  next: count.map((value) => value as Sequence),
  last: digest,
})

/** Some that zstd makes smaller, and some that it does not. */
export const content: fc.Arbitrary<Uint8Array> = fc.oneof(
  bytes(1, 200),
  bytes(1, 5_000),
  fc.tuple(bytes(1, 40), fc.nat(200)).map(([line, times]) => Buffer.concat(Array(times + 1).fill(line))),
)

/** Where a chunk of this length may stand. */
export const offsetFor = (length: number): fc.Arbitrary<ByteOffset> =>
  count.map((offset) => Math.min(offset, Number.MAX_SAFE_INTEGER - length) as ByteOffset)

export const lossReason = fc.constantFrom(...lossReasons)

/** The same bytes in pieces, cut at arbitrary places. */
export const pieces = (whole: Uint8Array): fc.Arbitrary<Uint8Array[]> =>
  fc.array(fc.nat(whole.length), { maxLength: 20 }).map((cuts) => {
    const sorted = [0, ...cuts.toSorted((a, b) => a - b), whole.length]
    return sorted.slice(1).map((end, index) => whole.subarray(sorted[index], end))
  })
