import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChunkBuffers } from '../../agent/capture/chunk-buffers.ts'
import { Chunker, type ChunkRules, type Cut } from '../../agent/capture/chunker.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { realWorld } from '../../agent/world.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { never } from '../kit/queue-kit.ts'

const newline = 0x0a
const rules: fc.Arbitrary<ChunkRules> = fc
  .record({
    maxBytes: fc.integer({ min: 4, max: 40 }),
    more: fc.nat(40),
    maxAgeMs: fc.integer({ min: 1, max: 50 }),
    format: fc.constantFrom('text', 'binary'),
  })
  .map(({ maxBytes, more, maxAgeMs, format }): ChunkRules => {
    return { limits: { maxBytes, catchUpBytes: maxBytes + more }, maxAgeMs, format }
  })

/** What happens to one of several files that share the buffers. */
type Step =
  | { readonly is: 'bytes'; readonly file: number; readonly bytes: Uint8Array }
  /** The end of the file: nothing comes for so long. */
  | { readonly is: 'quiet'; readonly file: number; readonly ms: number }
  | { readonly is: 'flush'; readonly file: number }

const files = 3
const file = fc.nat(files - 1)
const byte = fc.oneof(fc.constant(newline), fc.nat(255))
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    is: fc.constant('bytes' as const),
    file,
    bytes: fc.array(byte, { minLength: 1, maxLength: 90 }).map((all) => Uint8Array.from(all)),
  }),
  fc.record({ is: fc.constant('quiet' as const), file, ms: fc.nat(60) }),
  fc.record({ is: fc.constant('flush' as const), file }),
)

interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
  readonly atMs: number
  readonly isFlushed: boolean
}

/** Runs the steps as captureFile does, and keeps what was cut of each file. */
async function cutAll(steps: readonly Step[], rules: ChunkRules): Promise<Piece[][]> {
  const clock = new FakeClock()
  const buffers = new ChunkBuffers(rules.limits.catchUpBytes, 2, clock)
  const chunkers = Array.from({ length: files }, () => new Chunker(0 as ByteOffset, rules, buffers))
  const cuts: Piece[][] = chunkers.map(() => [])
  const keep = (index: number, cut: Cut | undefined, isFlushed: boolean): void => {
    if (!cut) return
    cuts[index]?.push({
      offset: cut.offset,
      bytes: Uint8Array.from(cut.bytes),
      atMs: clock.monotonicMs(),
      isFlushed,
    })
    cut.release()
  }
  for (const { file: index, ...step } of [...steps, ...flushAll]) {
    const chunker = chunkers[index]
    if (!chunker) throw new Error('there is no such file')
    if (step.is === 'bytes') {
      for (let done = 0; done < step.bytes.length;) {
        const room = await chunker.room(step.bytes.length - done, never)
        const piece = step.bytes.subarray(done, done + room.length)
        room.set(piece)
        chunker.took(piece.length, clock.monotonicMs())
        done += piece.length
        keep(index, chunker.cut(clock.monotonicMs(), false), false)
      }
    }
    if (step.is === 'quiet') clock.advance(step.ms)
    keep(index, chunker.cut(clock.monotonicMs(), step.is === 'flush'), step.is === 'flush')
    // At the end of a file its buffer goes to the others.
    chunker.rest()
  }
  return cuts
}

const flushAll: Step[] = Array.from({ length: files }, (_, index) => ({ is: 'flush', file: index }))

function written(steps: readonly Step[], index: number): Buffer {
  return Buffer.concat(
    steps.flatMap((step) => (step.is === 'bytes' && step.file === index ? [step.bytes] : [])),
  )
}

describe('for all that is written to files that share the buffers', () => {
  test('the cuts of each file, joined, are its bytes, at their offsets', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), rules, async (steps, rules) => {
        const cuts = await cutAll(steps, rules)
        for (const [index, pieces] of cuts.entries()) {
          const bytes = Buffer.concat(pieces.map((piece) => piece.bytes))
          expect(bytes.equals(written(steps, index))).toBe(true)
          let offset = 0
          for (const piece of pieces) {
            expect(piece.offset).toBe(offset)
            offset += piece.bytes.length
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  test('no cut is empty or larger than allowed, and one of text ends early only behind a newline', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), rules, async (steps, rules) => {
        const wrong = (await cutAll(steps, rules)).flatMap((pieces) =>
          pieces.filter(({ bytes, isFlushed }, index) => {
            const isEarly = !isFlushed && index < pieces.length - 1
            const isTorn = rules.format === 'text' && bytes.includes(newline) && bytes.at(-1) !== newline
            return bytes.length === 0 || bytes.length > rules.limits.catchUpBytes || (isEarly && isTorn)
          }),
        )
        expect(wrong).toEqual([])
      }),
      { numRuns: 300 },
    )
  })
})

async function filled(
  text: string,
  rules: Partial<ChunkRules> = {},
): Promise<{ chunker: Chunker; clock: FakeClock }> {
  const clock = new FakeClock()
  const buffers = new ChunkBuffers(16, 1, clock)
  const limits = { maxBytes: 16, catchUpBytes: 16 }
  const all: ChunkRules = { limits, maxAgeMs: 100, format: 'text', ...rules }
  const chunker = new Chunker(0 as ByteOffset, all, buffers)
  const room = await chunker.room(text.length, never)
  room.set(Buffer.from(text))
  chunker.took(text.length, clock.monotonicMs())
  return { chunker, clock }
}

const textOf = (cut: Cut | undefined): string | undefined => cut && Buffer.from(cut.bytes).toString()

describe('a chunk', () => {
  test('is cut when it is full, at the last newline in it', async () => {
    const { chunker, clock } = await filled('one\ntwo\nthree456')
    expect(textOf(chunker.cut(clock.monotonicMs(), false))).toBe('one\ntwo\n')
    expect(chunker.uncutBytes).toBe(8)
  })

  test('may be larger where that much waits, and only there', async () => {
    const limits = { maxBytes: 4, catchUpBytes: 8 }
    for (const [waiting, room] of [
      [7, 4],
      [8, 8],
    ] as const) {
      const { chunker } = await filled('', { limits })
      chunker.rest()
      expect((await chunker.room(waiting, never)).length).toBe(room)
    }
  })

  test('is not cut before it is full or old', async () => {
    const { chunker, clock } = await filled('one\ntwo')
    clock.advance(99)
    expect(chunker.cut(clock.monotonicMs(), false)).toBeUndefined()
    expect(chunker.dueInMs(clock.monotonicMs())).toBe(1)
    clock.advance(1)
    expect(textOf(chunker.cut(clock.monotonicMs(), false))).toBe('one\n')
  })

  test('without a newline is cut all the same', async () => {
    const { chunker, clock } = await filled('0123456789abcdef')
    expect(textOf(chunker.cut(clock.monotonicMs(), false))).toBe('0123456789abcdef')
  })

  test('is never larger than the server takes, even where it said so after the bytes were read', async () => {
    let maxBytes = 16
    const { chunker, clock } = await filled('one\ntwo\nthree45', {
      limits: {
        get maxBytes() {
          return maxBytes
        },
        get catchUpBytes() {
          return maxBytes
        },
      },
    })
    maxBytes = 6
    expect(await chunker.room(1, never)).toHaveLength(0)
    expect(textOf(chunker.cut(clock.monotonicMs(), false))).toBe('one\n')
    const cuts = Array.from({ length: 3 }, () => textOf(chunker.cut(clock.monotonicMs(), true)))
    expect(cuts).toEqual(['two\n', 'three4', '5'])
  })

  test('of a binary file is cut where it is full, wherever newlines stand', async () => {
    const { chunker, clock } = await filled('one\ntwo\nthree456', { format: 'binary' })
    expect(textOf(chunker.cut(clock.monotonicMs(), false))).toBe('one\ntwo\nthree456')
  })
})

test('a buffer that is asked for while all are in use comes when one is given back', async () => {
  const clock = new FakeClock()
  const buffers = new ChunkBuffers(8, 1, clock)
  const first = await buffers.take(never)
  const second = buffers.take(never)
  if (first) buffers.giveBack(first)
  expect(await second).toBe(first)
})

test('a buffer that is given back wakes the one that waited longest, and none of the others', async () => {
  const { clock } = realWorld()
  let sleeps = 0
  const sleep = (ms: number, signal: AbortSignal): Promise<void> => (sleeps++, clock.sleep(ms, signal))
  const buffers = new ChunkBuffers(8, 1, { ...clock, sleep })
  const first = await buffers.take(never)
  const waiting = Array.from({ length: 30 }, () => buffers.take(never))
  for (const one of waiting) {
    if (first) buffers.giveBack(first)
    expect(await one).toBe(first)
  }
  expect(sleeps).toBe(30)
})

test('who waits for a buffer is let go when the signal fires', async () => {
  const buffers = new ChunkBuffers(8, 1, new FakeClock())
  await buffers.take(never)
  const stopping = new AbortController()
  const waiting = buffers.take(stopping.signal)
  stopping.abort()
  expect(await waiting).toBeUndefined()
})
