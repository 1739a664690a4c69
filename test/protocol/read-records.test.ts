import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../protocol/contract.ts'
import { hex } from '../../protocol/ids.ts'
import { BatchError, readRecords } from '../../protocol/record.ts'
import { seal } from '../../protocol/seal.ts'
import * as any from '../kit/arbitrary-records.ts'
import { sealed, signer } from '../kit/sealed-record.ts'
import { goodRecordHex, goodRecords } from '../vectors/good-records.ts'
import { dataOf, firstPlace, lines, text } from '../vectors/samples.ts'

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
      const start = process.cpuUsage()
      let records = 0
      for await (const frame of readRecords(arriving(everyPieceOf(large, 65_536))))
        records += frame.body ? 1 : 0
      expect(records * record.length).toBe(large.length)
      expect(process.cpuUsage(start).user / 1000).toBeLessThan(1_500)
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
