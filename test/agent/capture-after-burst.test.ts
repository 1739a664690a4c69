import { writeFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { AfterBurst } from '../../agent/capture/after-burst.ts'
import { releaseMemory } from '../../agent/release-memory.ts'
import { Ground } from '../kit/capture-ground.ts'
import { FakeClock } from '../kit/fake-world.ts'

interface State {
  /** Of who is followed. */
  changes: number
  sealed: number
  waiting: number
}

/** Looks ten seconds apart, each with what is so then. Gives after which of them memory was given back. */
function releasedAfter(looks: readonly State[], apartMs = 10_000): number[] {
  const clock = new FakeClock()
  const released: number[] = []
  let state: State = { changes: 0, sealed: 0, waiting: 0 }
  let look = 0
  const follower = {
    get changes() {
      return state.changes
    },
  }
  const queue = {
    get head() {
      return { next: state.sealed }
    },
    get ledger() {
      return { records: state.waiting }
    },
  }
  const world = { clock, releaseMemory: () => released.push(look) }
  const burst = new AfterBurst(follower, queue as never, world)
  for (state of looks) {
    burst.looked()
    clock.advance(apartMs)
    look++
  }
  return released
}

const came = (sealed: number, waiting: number, changes = 1000): State => ({ changes, sealed, waiting })

describe('memory is given back', () => {
  test('once, when nothing more comes of many files that came', () => {
    const looks = [came(0, 0), came(800, 800), came(1000, 400), came(1000, 20), came(1000, 10), came(1000, 0)]
    expect(releasedAfter(looks)).toEqual([4])
    expect(releasedAfter(looks.slice(1))).toEqual([3])
  })

  test('although some of them grow', () => {
    expect(releasedAfter([came(500, 10), came(520, 10), came(540, 15)])).toEqual([1])
  })

  test('after each burst, and not for a few files', () => {
    const looks = [999, 1000, 1001, 1999, 2000, 2001].map((changes) => came(0, 0, changes))
    expect(releasedAfter(looks)).toEqual([1, 4])
  })

  test('not because two looks follow one another at once', () => {
    expect(releasedAfter([came(500, 500), came(500, 500)], 4999)).toEqual([])
  })

  test('not while most of it waits for the link', () => {
    expect(releasedAfter([came(1000, 1000), came(1000, 1000), came(1000, 999)])).toEqual([2])
  })
})

test('an agent that finds many files gives it back when it has them all', async () => {
  await using ground = await Ground.start()
  for (let file = 0; file < 1000; file++) await writeFile(ground.path(`${file}.log`), '')
  const { promise: released, resolve } = Promise.withResolvers<void>()
  await ground.watch(
    async ({ told }) => {
      await released
      expect(told.named('streamStarted')).toHaveLength(1000)
    },
    { releaseMemory: resolve },
  )
})

/** In a call of its own: what a function has in hand while it waits is not garbage. */
const somethingOnce = (): WeakRef<object> => new WeakRef({ only: 'once' })

test('what nothing refers to any more is collected', async () => {
  const something = somethingOnce()
  // A reference that was made in this turn of the event loop still holds.
  await setImmediate()
  releaseMemory()
  expect(something.deref()).toBeUndefined()
})
