import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { checkBody, decodeBody, encodeBody } from '../../protocol/body.ts'
import { limits } from '../../protocol/contract.ts'
import { hex, sha256 } from '../../protocol/ids.ts'
import type { DataManifest } from '../../protocol/manifest.ts'
import type { Verdict } from '../../protocol/refusal.ts'
import { bytes, content } from '../kit/arbitrary-records.ts'
import { lacksSharedData, sharedBytes } from '../kit/shared-data.ts'
import { dataOf, zstdOf } from '../vectors/samples.ts'
import { outcomeOf } from './judge.ts'

/** What a server makes of this body under this manifest. */
function contentOf(manifest: DataManifest, body: Uint8Array): Verdict<Uint8Array> {
  const checked = checkBody(manifest, body)
  return checked.ok ? decodeBody(manifest, body) : checked
}

/** The verdict on a frame that is signed to hold `length` bytes. */
function verdictOn(frame: Uint8Array, length: number): Verdict<Uint8Array> {
  return contentOf(zstdOf(new Uint8Array(1), frame, { length }), frame)
}

test('what was encoded is decoded to the same bytes, and is never longer than they are', async () => {
  await fc.assert(
    fc.asyncProperty(content, async (given) => {
      const { body, encoding, bodySha256, length } = await encodeBody(given)
      expect(body.length).toBeLessThanOrEqual(given.length)
      const manifest = dataOf(given, { encoding, bodySha256, length, bodyLength: body.length })
      const verdict = contentOf(manifest, body)
      expect(verdict.ok && hex(verdict.value)).toBe(hex(given))
    }),
    { numRuns: 300 },
  )
})

test('the same bytes always give the same body', async () => {
  const given = Buffer.from('a line of a log\n'.repeat(40_000))
  const [one, two] = await Promise.all([encodeBody(given), encodeBody(given)])
  expect(hex(sha256(one.body))).toBe(hex(sha256(two.body)))
})

test('the largest chunk comes back', async () => {
  const given = Buffer.alloc(limits.maxChunkBytes, 'a line of a log\n')
  const { body, ...signed } = await encodeBody(given)
  const verdict = contentOf(dataOf(given, { ...signed, bodyLength: body.length }), body)
  expect(verdict.ok && verdict.value.length).toBe(limits.maxChunkBytes)
})

test('no bytes as a frame make the decoder throw', () => {
  const magic = Buffer.from('28b52ffd', 'hex')
  fc.assert(
    fc.property(bytes(1, 80), fc.boolean(), fc.integer({ min: 1, max: 10_000 }), (given, isFrame, length) => {
      const verdict = verdictOn(isFrame ? Buffer.concat([magic, given]) : given, length)
      expect(outcomeOf(verdict)).toMatch(/^(BODY_UNDECODABLE|CONTENT_LENGTH_WRONG|CONTENT_HASH_WRONG)$/)
    }),
    { numRuns: 1_000 },
  )
})

describe.skipIf(lacksSharedData)("other people's vectors", () => {
  /** Bodies that decode reach the hash of the content, which is not theirs here. */
  const whole = 'CONTENT_HASH_WRONG'
  test.each([
    ['golden-decompression__block-128k.zst', 131_068, whole],
    ['golden-decompression__rle-first-block.zst', 1_048_576, whole],
    ['golden-decompression__zeroSeq_2B.zst', 13, whole],
    ['golden-decompression__zeroSeq_2B.zst', 12, 'BODY_UNDECODABLE'],
    ['golden-decompression__zeroSeq_2B.zst', 14, 'CONTENT_LENGTH_WRONG'],
    ['golden-decompression-errors__off0.bin.zst', 4_096, 'BODY_UNDECODABLE'],
  ])('%s signed as %i bytes: %s', (name, length, outcome) => {
    expect(outcomeOf(verdictOn(sharedBytes(`vectors/zstd/${name}`), length))).toBe(outcome)
  })

  test.each([
    ['ok1000.zst', 1_000, whole],
    ['frame+garbage.zst', 1_000, 'BODY_UNDECODABLE'],
    ['two-frames.zst', 1_000, 'BODY_UNDECODABLE'],
    ['two-frames.zst', 2_000, 'BODY_UNDECODABLE'],
    ['truncated.zst', 1_000, 'BODY_UNDECODABLE'],
    ['bomb-1GiB-zeros.zst', 1_000, 'BODY_UNDECODABLE'],
    ['bomb-1GiB-zeros.zst', limits.maxChunkBytes, 'BODY_UNDECODABLE'],
  ])('generated %s signed as %i bytes: %s', (name, length, outcome) => {
    expect(outcomeOf(verdictOn(sharedBytes(`generated/zstd/${name}`), length))).toBe(outcome)
  })
})

const MiB = 2 ** 20

/** A frame that inflates to 1 GiB of zeros: blocks of 128 KiB that are a run. */
const bomb = Buffer.concat([
  Buffer.from('28b52ffd0068', 'hex'),
  ...Array<Uint8Array>(8 * 1024).fill(Buffer.from('02001000', 'hex')),
  Buffer.from('03001000', 'hex'),
])
/** Frames that claim what they do not hold: a content of 2^64 - 1, a window of 3.75 TiB, a window of 2 GiB. */
const claims = ['28b52ffde0ffffffffffffffff23030061', '28b52ffd00ff23030061', '28b52ffd00a823030061']

const greedy: readonly (readonly [string, Uint8Array, number, number])[] = [
  ['a bomb of 1 GiB, signed as 1 byte', bomb, 1, 24],
  ['a bomb of 1 GiB, signed as 8 MiB', bomb, 8 * MiB, 48],
  ...claims.map((digits) => [`a frame of ${digits}`, Buffer.from(digits, 'hex'), 8 * MiB, 24] as const),
]

test.each(greedy)('%s is refused with little memory', (_name, frame, length, maxMiB) => {
  const before = process.memoryUsage().rss
  expect(outcomeOf(verdictOn(frame, length))).toBe('BODY_UNDECODABLE')
  expect((process.memoryUsage().rss - before) / MiB).toBeLessThan(maxMiB)
})

test('a frame cut at any length is refused', () => {
  const frame = zstdCompressSync(Buffer.from('a line of a log\n'.repeat(9)))
  for (let length = 1; length < frame.length; length++) {
    expect(outcomeOf(verdictOn(frame.subarray(0, length), 144))).toBe('BODY_UNDECODABLE')
  }
})

test('a frame that ends where the buffer of the compressor ends has nothing behind it', async () => {
  const content = await contentWithFrameOf(64)
  // A compressor whose buffer is empty: 64 bytes divide it, so one of every 4096 such frames ends with it.
  vi.resetModules()
  const fresh = await import('../../protocol/body.ts')
  const lengths = new Set<number>()
  for (let round = 0; round <= 2 * 4096; round++) lengths.add((await fresh.encodeBody(content)).body.length)
  expect([...lengths]).toEqual([64])
})

async function contentWithFrameOf(frameBytes: number): Promise<Uint8Array> {
  for (let tries = 0; tries < 10_000; tries++) {
    const content = randomBytes(80 + (tries % 200)).map((byte) => 65 + (byte % 4))
    const { body, encoding } = await encodeBody(content)
    if (encoding === 'zstd' && body.length === frameBytes) return content
  }
  throw new Error(`no content has a frame of ${frameBytes} bytes`)
}
