import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeBody } from '../../protocol/body.ts'
import { placeAfter, type ChainHead } from '../../protocol/chain.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import { limits } from '../../protocol/contract.ts'
import { hex, sha256, type ByteOffset } from '../../protocol/ids.ts'
import { encodeManifest, type Manifest, type RecordTime } from '../../protocol/manifest.ts'
import { BatchError, readRecords, recordOpening, scanRecord } from '../../protocol/record.ts'
import { accept } from '../../protocol/refusal.ts'
import { seal, sealChunk } from '../../protocol/seal.ts'
import { verifyRecord, type KeyRing } from '../../protocol/verify.ts'
import * as any from '../kit/arbitrary-records.ts'
import { goodRecordHex, goodRecords } from '../vectors/good-records.ts'
import { hostileRecords } from '../vectors/hostile-records.ts'
import { register, testKeys } from '../vectors/keys.ts'
import { withBitFlipped } from '../vectors/raw.ts'
import { dataOf, firstPlace, label, lines, offsetOf, text, time } from '../vectors/samples.ts'
import { judge, keyRingOf, outcomeOf } from './judge.ts'

const { signer } = testKeys.hexa
const itsKey: KeyRing = () => accept(signer.publicKey)
const registered = keyRingOf(
  register.map(({ device, state, key }) => ({
    device,
    state,
    publicKeyHex: hex(key.signer.publicKey.bytes),
  })),
)

async function sealed(
  bytes: Uint8Array,
  head: ChainHead = firstPlace(),
  where: { readonly label: StreamLabel; readonly offset: ByteOffset; readonly time: RecordTime } = {
    label,
    offset: offsetOf(0),
    time,
  },
) {
  return sealChunk(where.label, where.offset, await encodeBody(bytes), head, where.time, signer)
}

describe('sealed, then verified', () => {
  const chunk = any.content.chain((bytes) =>
    fc.record({ bytes: fc.constant(bytes), offset: any.offsetFor(bytes.length) }),
  )

  test('each chunk of each stream at each place gives the same bytes and the same manifest', async () => {
    await fc.assert(
      fc.asyncProperty(chunk, any.label, any.time, any.head, async ({ bytes, offset }, label, time, head) => {
        const record = await sealed(bytes, head, { label, offset, time })
        const verdict = judge(record.bytes, itsKey)
        if (!verdict.ok) throw new Error(verdict.refusal)
        const { manifest, digest, content } = verdict.value
        expect(hex(content ?? new Uint8Array(0))).toBe(hex(bytes))
        expect(hex(encodeManifest(manifest))).toBe(hex(encodeManifest(record.manifest)))
        expect(manifest).toMatchObject({
          ...placeAfter(head),
          path: label.path,
          tags: label.tags,
          offset,
          time,
        })
        expect(hex(digest)).toBe(hex(record.digest))
        expect(record.head).toEqual({ ...head, next: head.next + 1, last: digest })
      }),
      { numRuns: 300 },
    )
  })

  const length = any.count.filter((value) => value > 0)
  const loss = fc.record({
    kind: fc.constant('loss' as const),
    length: fc.option(length),
    reason: any.lossReason,
    offset: any.offsetFor(Number.MAX_SAFE_INTEGER),
  })
  const close = fc.record({ kind: fc.constant('close' as const), length: any.count, sha256: any.digest })

  test('each loss and each end of a file gives the same manifest', () => {
    const own = fc.oneof(loss, close)
    fc.assert(
      fc.property(own, any.label, any.time, any.head, (fields, label, time, head) => {
        const manifest: Manifest = { ...placeAfter(head), ...label, time, ...fields }
        const verdict = judge(seal(manifest, null, head, signer).bytes, itsKey)
        if (!verdict.ok) throw new Error(verdict.refusal)
        expect(verdict.value.content).toBe(null)
        expect(hex(encodeManifest(verdict.value.manifest))).toBe(hex(encodeManifest(manifest)))
      }),
    )
  })

  test('the longest manifest fits its limit, and a record is no longer than its body and the overhead', async () => {
    const longest: StreamLabel = {
      ...label,
      path: Buffer.alloc(limits.maxPathBytes, 0xff),
      tags: new Map([['n', 'v'.repeat(1_018)]]),
    }
    const record = await sealed(Buffer.alloc(70_000, 'x'), firstPlace(), {
      label: longest,
      offset: offsetOf(2 ** 52),
      time,
    })
    expect(outcomeOf(judge(record.bytes, itsKey))).toBe('accepted')
    expect(encodeManifest(record.manifest).length).toBeLessThanOrEqual(limits.maxManifestBytes)
    const overhead = 6 + 2 + 2 + 30 + 1 + (3 + limits.maxManifestBytes) + 66 + 5
    expect(overhead).toBeLessThanOrEqual(limits.maxRecordOverheadBytes)
  })
})

/** Which parts of a record refuse a flipped bit, and with what. */
type Layers = Readonly<Record<string, readonly string[]>>

/** For each part of the record, all the refusals that a flipped bit of it met. */
function layersOf(bytes: Uint8Array): Layers {
  const scan = scanRecord(bytes)
  if (scan.is !== 'whole') throw new Error('not a record')
  const { protectedHeader, payload, signature } = scan.frame.envelope
  const partOf = (at: number): string => {
    const within = (part: Uint8Array) =>
      at >= part.byteOffset - bytes.byteOffset && at < part.byteOffset - bytes.byteOffset + part.length
    if (within(protectedHeader)) return 'header'
    if (within(payload)) return 'manifest'
    if (within(signature)) return 'signature'
    return scan.frame.body && within(scan.frame.body) ? 'body' : 'frame'
  }
  const layers = new Map<string, Set<string>>()
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const part = partOf(bit >> 3)
    const met = layers.get(part) ?? new Set()
    layers.set(part, met.add(outcomeOf(judge(withBitFlipped(bytes, bit), registered))))
  }
  return Object.fromEntries([...layers].map(([part, met]) => [part, [...met].toSorted()]))
}

describe('a flipped bit', () => {
  const smallest = { ...label, path: '/a', tags: new Map() }

  test('anywhere in a record as it stands is refused, by the layer that it is in', async () => {
    const record = await sealed(Buffer.from('log\n'), firstPlace(), {
      label: smallest,
      offset: offsetOf(0),
      time,
    })
    expect(layersOf(Uint8Array.from(record.bytes))).toEqual({
      frame: ['RECORD_MALFORMED', 'RECORD_TOO_LARGE'],
      header: ['ENVELOPE_MALFORMED', 'KEY_UNKNOWN'],
      manifest: ['DEVICE_UNKNOWN', 'MANIFEST_INVALID', 'MANIFEST_MALFORMED', 'SIGNATURE_WRONG'],
      signature: ['SIGNATURE_WRONG'],
      body: ['BODY_HASH_WRONG'],
    })
  })

  test('anywhere in a record with a compressed body, a withheld one, or none is refused', async () => {
    const compressed = await sealed(Buffer.from('a line\n'.repeat(20)), firstPlace(), {
      label: smallest,
      offset: offsetOf(0),
      time,
    })
    const bodyless = goodRecords
      .filter(({ id }) => id === 'data-withheld' || id === 'close')
      .map((record) => Buffer.from(goodRecordHex(record), 'hex'))
    for (const bytes of [compressed.bytes, ...bodyless]) {
      expect(Object.values(layersOf(Uint8Array.from(bytes))).flat()).not.toContain('accepted')
    }
  })

  test('anywhere in any record is refused', async () => {
    await fc.assert(
      fc.asyncProperty(any.content, any.label, any.time, fc.nat(), async (bytes, label, time, place) => {
        const record = await sealed(bytes, firstPlace(), { label, offset: offsetOf(0), time })
        const flipped = withBitFlipped(record.bytes, place % (8 * record.bytes.length))
        expect(judge(flipped, itsKey).ok).toBe(false)
      }),
      { numRuns: 500 },
    )
  })
})

test('a record cut at any length is never whole, and says how much more it needs', async () => {
  const { bytes } = await sealed(Buffer.alloc(300, 'x'), firstPlace())
  for (let length = 0; length < bytes.length; length++) {
    const scan = scanRecord(bytes.subarray(0, length))
    if (scan.is !== 'cut') throw new Error(`${length} bytes are ${scan.is}`)
    expect(scan.needed).toBeGreaterThan(length)
    expect(scan.needed).toBeLessThanOrEqual(bytes.length)
  }
})

test('a record is found at any place, and no byte after it is looked at', async () => {
  const { bytes } = await sealed(text)
  fc.assert(
    fc.property(any.bytes(0, 50), any.bytes(0, 50), (before, after) => {
      const scan = scanRecord(Buffer.concat([before, bytes, after]), before.length)
      expect(scan.is === 'whole' && [scan.end, hex(scan.frame.bytes)]).toEqual([
        before.length + bytes.length,
        hex(bytes),
      ])
    }),
  )
})

describe('whatever the bytes', () => {
  const known = [...goodRecords.map(goodRecordHex), ...hostileRecords.map((record) => record.hex)]
  const records = known.map((digits) => Uint8Array.from(Buffer.from(digits, 'hex')))
  const mutated = fc
    .tuple(
      fc.constantFrom(...records),
      fc.array(fc.tuple(fc.nat(), any.bytes(0, 6), fc.nat(6)), { minLength: 1, maxLength: 4 }),
    )
    .map(([record, edits]) => edits.reduce(splice, record))
  const random = fc
    .tuple(fc.boolean(), any.bytes(0, 400))
    .map(([opens, bytes]) => (opens ? Buffer.concat([recordOpening, bytes]) : bytes))

  test('no reader throws, and random bytes are never a record', () => {
    fc.assert(
      fc.property(random, (bytes) => {
        expect(judge(bytes, itsKey).ok).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })

  test('no edited record makes a reader throw', () => {
    const intact = new Set(records.map(hex))
    fc.assert(
      fc.property(mutated, (bytes) => {
        const verdict = judge(bytes, registered)
        // An edit may undo another, or withhold the body, which whoever carries a record can always do.
        expect(!verdict.ok || intact.has(hex(bytes)) || verdict.value.frame.body === null).toBe(true)
      }),
      { numRuns: 5_000 },
    )
  })

  test('heads that claim 4 GiB cost no memory', () => {
    const before = process.memoryUsage()
    for (const record of records) {
      for (const claim of ['5affffffff', '5bffffffffffffffff', '9affffffff', 'baffffffff']) {
        for (const at of [6, 8, 40, 41, record.length >> 1])
          judge(splice(record, [at, Buffer.from(claim, 'hex'), 5]), itsKey)
      }
    }
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(32 * 2 ** 20)
    expect(after.rss - before.rss).toBeLessThan(128 * 2 ** 20)
  })
})

/** Some bytes at a place replaced by others. */
function splice(
  bytes: Uint8Array,
  [place, replacement, removed]: readonly [number, Uint8Array, number],
): Uint8Array {
  const at = place % (bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, at), replacement, bytes.subarray(at + removed)])
}

interface Reading {
  readonly records: readonly string[]
  readonly end: string
}

async function read(source: Iterable<Uint8Array>, maxBytes?: number): Promise<Reading> {
  const records: string[] = []
  try {
    for await (const frame of readRecords(arriving(source), maxBytes)) records.push(hex(frame.bytes))
    return { records, end: 'whole' }
  } catch (error) {
    if (!(error instanceof BatchError)) throw error
    return { records, end: error.reason }
  }
}

async function* arriving(source: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* source
}

describe('a batch', () => {
  const some = goodRecords
    .slice(0, 8)
    .map((record) => Uint8Array.from(Buffer.from(goodRecordHex(record), 'hex')))
  const batch = Buffer.concat(some)
  const split = any.pieces(batch)

  test('in any pieces gives the same records', async () => {
    await fc.assert(
      fc.asyncProperty(split, async (pieces) => {
        expect(await read(pieces)).toEqual({ records: some.map(hex), end: 'whole' })
      }),
    )
    expect(await read([...batch].map((byte) => Uint8Array.of(byte)))).toEqual({
      records: some.map(hex),
      end: 'whole',
    })
    expect(await read([])).toEqual({ records: [], end: 'whole' })
  })

  test('that is damaged gives, in any pieces, every record before that place', async () => {
    await fc.assert(
      fc.asyncProperty(split, fc.nat(some.length - 1), async (pieces, index) => {
        const start = Buffer.concat(some.slice(0, index)).length
        const damaged = damage(pieces, start)
        expect(await read(damaged)).toEqual({ records: some.slice(0, index).map(hex), end: 'malformed' })
      }),
    )
  })

  test('that ends within a record gives, in any pieces, every record before it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(batch.length - 1).chain((length) => any.pieces(batch.subarray(0, length))),
        async (pieces) => {
          const length = Buffer.concat(pieces).length
          const whole = some.filter((_, index) => Buffer.concat(some.slice(0, index + 1)).length <= length)
          const ended = Buffer.concat(whole).length === length
          expect(await read(pieces)).toEqual({ records: whole.map(hex), end: ended ? 'whole' : 'cut' })
        },
      ),
    )
  })

  test('that is too large gives, in any pieces, every record within the limit', async () => {
    await fc.assert(
      fc.asyncProperty(split, fc.nat(batch.length - 1), async (pieces, maxBytes) => {
        const within = some.filter((_, index) => Buffer.concat(some.slice(0, index + 1)).length <= maxBytes)
        expect(await read(pieces, maxBytes)).toEqual({ records: within.map(hex), end: 'tooLarge' })
      }),
    )
    expect(await read([batch], batch.length)).toMatchObject({ end: 'whole' })
  })

  test('of 16 MiB in pieces of 64 KiB is read in the time that it takes to copy it a few times', async () => {
    for (const size of [200, 4 * 2 ** 20 - 500]) {
      const record = seal(dataOf(lines), Buffer.alloc(size), firstPlace(), signer).bytes
      const large = Buffer.concat(Array(Math.floor(limits.maxBatchBytes / record.length)).fill(record))
      const start = performance.now()
      let records = 0
      for await (const frame of readRecords(arriving(everyPieceOf(large, 65_536))))
        records += frame.body ? 1 : 0
      expect(records * record.length).toBe(large.length)
      expect(performance.now() - start).toBeLessThan(1_500)
    }
  })
})

test('a record that arrives byte by byte is held in little more than its bytes', async () => {
  const record = seal(dataOf(lines), Buffer.alloc(2 ** 20), firstPlace(), signer).bytes
  const before = process.memoryUsage()
  let most = 0
  async function* bytewise(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < record.length - 1; at++) {
      yield Buffer.from(record.subarray(at, at + 1))
      if (at % 100_000 === 0) {
        const { heapUsed, arrayBuffers } = process.memoryUsage()
        most = Math.max(most, heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers)
      }
    }
    globalThis.gc?.()
  }
  await expect(Array.fromAsync(readRecords(bytewise()))).rejects.toThrow(BatchError)
  expect(most).toBeLessThan(64 * 2 ** 20)
})

test('a record that is whole in one piece is not copied', async () => {
  const { bytes } = await sealed(text)
  const piece = Buffer.concat([bytes, bytes, bytes.subarray(0, 50)])
  const buffers: unknown[] = []
  const reading = async (): Promise<void> => {
    for await (const frame of readRecords(arriving([piece]))) buffers.push(frame.bytes.buffer)
  }
  await expect(reading()).rejects.toThrow(BatchError)
  expect(buffers).toEqual([piece.buffer, piece.buffer])
})

function* everyPieceOf(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size)
}

/** The same pieces, with the byte at a place of the whole made another. */
function damage(pieces: readonly Uint8Array[], place: number): Uint8Array[] {
  let start = 0
  return pieces.map((piece) => {
    const at = place - start
    start += piece.length
    return at >= 0 && at < piece.length ? piece.with(at, 0) : piece
  })
}

test('a body of another record of the same length does not pass', async () => {
  const [one, two] = await Promise.all([sealed(Buffer.from('one\n')), sealed(Buffer.from('two\n'))])
  const swapped = Buffer.concat([one.bytes.subarray(0, -4), two.bytes.subarray(-4)])
  expect(outcomeOf(judge(swapped, itsKey))).toBe('BODY_HASH_WRONG')
})

test('verifying leaves the bytes as they are', async () => {
  const { bytes } = await sealed(lines)
  const before = hex(sha256(bytes))
  const scan = scanRecord(bytes)
  if (scan.is === 'whole') verifyRecord(scan.frame, itsKey)
  expect(hex(sha256(bytes))).toBe(before)
})

test('who watches is told of each envelope once, long before the body is whole, and of what is held', async () => {
  const large = seal(dataOf(lines), Buffer.alloc(100_000), firstPlace(), signer).bytes
  const { bytes: small } = await sealed(text)
  const batch = Buffer.concat([large, small, large])
  const foreseen: number[] = []
  const held: number[] = []
  let arrived = 0
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of arriving(everyPieceOf(batch, 1000))) {
      arrived += piece.length
      yield piece
    }
  }
  const watch = {
    holding: (bytes: number) => void held.push(bytes),
    foresee: async () => void foreseen.push(arrived),
  }
  const frames = await Array.fromAsync(readRecords(counted(), undefined, watch), ({ bytes }) => bytes.length)

  expect(frames).toEqual([large.length, small.length, large.length])
  expect(foreseen).toHaveLength(2)
  expect(foreseen[0]).toBeLessThanOrEqual(1000)
  expect(Math.max(...held)).toBeLessThanOrEqual(large.length)
  expect(Math.max(...held)).toBeGreaterThan(100_000)
})

test('what a watcher throws ends the reading', async () => {
  const { bytes } = await sealed(text)
  const watch = {
    holding: () => {
      throw new Error('no room')
    },
    foresee: async () => undefined,
  }
  await expect(Array.fromAsync(readRecords(arriving([bytes]), undefined, watch))).rejects.toThrow('no room')
})
