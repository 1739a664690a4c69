import { setImmediate as aTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Aging } from '../../agent/capture/aging.ts'
import { ChunkBuffers } from '../../agent/capture/chunk-buffers.ts'
import { Chunker } from '../../agent/capture/chunker.ts'
import type { Generation } from '../../agent/capture/generation.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { never } from '../kit/queue-kit.ts'

const maxAgeMs = 20
const dropChunker = (): void => undefined

/** A file of which so many bytes were read and not cut. */
async function uncut(clock: FakeClock): Promise<Generation & { readonly chunker: Chunker }> {
  const rules = { format: 'text', maxAgeMs, limits: { maxBytes: 4096, catchUpBytes: 4096 } } as const
  const chunker = new Chunker(0 as ByteOffset, rules, new ChunkBuffers(4096, 1, clock))
  await chunker.room(100, never)
  chunker.took(100, clock.monotonicMs())
  return { chunker, flushTo: 0, readTo: 100, dropChunker } as unknown as Generation & { chunker: Chunker }
}

test('of a file whose turn has just cut it, those that are due behind it have theirs all the same', async () => {
  const clock = new FakeClock()
  const wanted: Generation[] = []
  const aging = new Aging(1 << 20, clock, (generation) => wanted.push(generation))
  const stopping = new AbortController()
  const running = aging.run(stopping.signal)
  const [first, second] = [await uncut(clock), await uncut(clock)]
  aging.note(first, false)
  aging.note(second, false)
  await clock.someoneSleeps()
  // Its turn, which goes on, says what is left when it ends.
  first.chunker.cut(clock.monotonicMs(), true)?.release()
  await clock.skip()
  await aTurn()
  expect(wanted).toEqual([second])

  const later = await uncut(clock)
  aging.note(later, false)
  await clock.skip()
  await aTurn()
  expect(wanted).toEqual([second, later])
  stopping.abort()
  await running
})
