import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { outagePauseMs, pauseMs } from '../../agent/deliver/backoff.ts'
import { LinkModel } from '../../agent/deliver/link-model.ts'
import { Pacer, type Passage } from '../../agent/deliver/pacer.ts'
import { TokenBucket } from '../../agent/deliver/token-bucket.ts'
import { watchedSurroundings } from '../../agent/surroundings.ts'
import { DeliveryKit } from '../kit/delivery-kit.ts'
import { cut } from '../kit/fake-link.ts'
import { FakeClock } from '../kit/fake-world.ts'
import { never } from '../kit/queue-kit.ts'

/** A model that knows a link of 100 bytes a millisecond. */
const knowing = (clock: FakeClock): LinkModel => {
  const model = new LinkModel()
  const upload = model.begin(100_000, clock.monotonicMs())
  model.left(upload, 100_000, clock.monotonicMs())
  clock.advance(1000)
  model.receipted(upload, clock.monotonicMs())
  return model
}

/** The next piece of a body, which is sent at once; the clock goes on as far as it takes, if that is not long. */
async function send(passage: Passage, wanted: number, clock: FakeClock): Promise<number> {
  const taken: number[] = []
  const taking = passage.take(wanted, never).then((bytes) => taken.push(bytes))
  while (taken.length === 0) {
    const waitMs = (clock.nextMs ?? Infinity) - clock.monotonicMs()
    if (waitMs < 1000) clock.advance(waitMs)
    await Promise.resolve()
  }
  await taking
  passage.left(taken[0] ?? 0)
  return taken[0] ?? 0
}

describe('bodies on their way out', () => {
  test('stop for one that is more urgent, and get a piece now and then all the same', async () => {
    const clock = new FakeClock()
    const pacer = new Pacer(knowing(clock), clock)
    const low = pacer.open('low', 10_000_000)
    expect(await low.take(10_000, never)).toBeGreaterThan(0)
    const high = pacer.open('high', 10_000_000)
    const waiting = low.take(10_000, never)
    let isGiven = false
    void waiting.then(() => (isGiven = true))
    for (let sent = 0; sent < 500_000;) sent += await send(high, 100_000, clock)
    expect(isGiven).toBe(false)
    await clock.someoneSleeps()
    clock.advance(10_000)
    expect(await waiting).toBeGreaterThan(0)
  })

  test('leave whole where they are more urgent, however much of another left that waits for them', async () => {
    const clock = new FakeClock()
    const model = knowing(clock)
    model.noteRoundTrip(20, clock.monotonicMs())
    const pacer = new Pacer(model, clock)
    const low = pacer.open('low', 150_000)
    for (let sent = 0; sent < 100_000;) sent += await send(low, 150_000 - sent, clock)
    const normal = pacer.open('normal', 150_000)
    const beganMs = clock.monotonicMs()
    for (let sent = 0; sent < 150_000;) sent += await send(normal, 150_000 - sent, clock)
    expect(clock.monotonicMs() - beganMs).toBeLessThan(2000)
  })

  test('leave in pieces that a connection takes at once while nothing is known of the link', async () => {
    const clock = new FakeClock()
    const passage = new Pacer(new LinkModel(), clock).open('low', 10_000_000)
    expect(await passage.take(10_000_000, never)).toBe(16 << 10)
  })

  test('do not wait for an older one whose piece was let go and never leaves', async () => {
    const clock = new FakeClock()
    const model = knowing(clock)
    const pacer = new Pacer(model, clock)
    const [older, younger] = [pacer.open('normal', 50_000_000), pacer.open('normal', 50_000)]
    while (model.waitMs(clock.monotonicMs()) === 0) await older.take(50_000, never)
    const given: Passage[] = []
    for (const passage of [older, younger]) void passage.take(50_000, never).then(() => given.push(passage))
    for (let turns = 0; turns < 1000 && given.length < 2; turns++) {
      clock.advance(1)
      await Promise.resolve()
    }
    expect(given).toEqual([older, younger])
  })

  test('go no faster than the limit that was set', async () => {
    const clock = new FakeClock()
    const pacer = new Pacer(new LinkModel(), clock, new TokenBucket(10_000, clock.monotonicMs()))
    const passage = pacer.open('normal', 1_000_000)
    const startMs = clock.monotonicMs()
    for (let sent = 0; sent < 50_000;) sent += await send(passage, 1_000_000, clock)
    expect(clock.monotonicMs() - startMs).toBeGreaterThan(4700)
    expect(passage.upload.isStarved).toBe(true)
  })

  test('that are given up end their waiting', async () => {
    const clock = new FakeClock()
    const pacer = new Pacer(knowing(clock), clock)
    pacer.open('high', 100)
    const stopping = new AbortController()
    const taking = pacer.open('low', 100).take(100, stopping.signal)
    stopping.abort()
    expect(await taking).toBe(0)
  })
})

test('a record of high priority is sent at once while a request of low priority is on its way', async () => {
  await using kit = await DeliveryKit.start([])
  for (let count = 0; count < 5; count++) await kit.append(randomBytes(40_000), 'low')
  kit.run()
  await kit.chunks(3)
  const waiting = kit.queue.ledger.records
  await kit.append('urgent\n', 'high')
  const urgent = await kit.chunks(4)
  expect(Buffer.from(urgent.request.body ?? []).includes('urgent')).toBe(true)
  kit.store(urgent)
  await kit.world.told.told('forgotten')
  expect(kit.queue.ledger.records).toBe(waiting)
})

test('after an outage others follow the batch that tries, before its receipt', async () => {
  await using kit = await DeliveryKit.start([])
  for (let count = 0; count < 3; count++) await kit.append(randomBytes(40_000))
  kit.run()
  await kit.chunks(3)
  for (const asked of kit.link.asked) asked.answer(cut('ECONNREFUSED', 0))
  await kit.world.told.told('deliveryFailed')
  await kit.world.clock.skip()
  for (const time of [4, 5, 6]) await kit.chunks(time)
  expect(kit.world.told.named('receiptVerified')).toEqual([])
})

describe('the pause after a failure', () => {
  const policy = { minMs: 500, maxMs: 60_000 }
  const most = {
    below: (limit: number) => limit - 1,
    bytes: (count: number) => new Uint8Array(count),
  }

  test('doubles, capped before chance draws from it', () => {
    const pauses = [1, 2, 3, 7, 8, 9, 1000].map((attempt) => pauseMs(attempt, policy, most))
    expect(pauses).toEqual([500, 1000, 2000, 32_000, 60_000, 60_000, 60_000])
  })

  test('of the link is no more than a tenth of the outage', () => {
    const pauses = [0, 1000, 10_000, 60_000, 3_600_000].map((ms) => outagePauseMs(50, ms, policy, most))
    expect(pauses).toEqual([500, 500, 1000, 6000, 60_000])
    expect(outagePauseMs(2, 3_600_000, policy, most)).toBe(1000)
  })
})

describe('the surroundings', () => {
  class World {
    readonly clock = new FakeClock()
    route = 'eth0'
    wallOffsetMs = 0
    readonly surroundings = watchedSurroundings(
      {
        monotonicMs: () => this.clock.monotonicMs(),
        wallMs: () => this.clock.monotonicMs() + this.wallOffsetMs,
        wallState: () => this.clock.wallState(),
        bootId: this.clock.bootId,
        sleep: (ms, signal) => this.clock.sleep(ms, signal),
      },
      async (path) => (path === '/proc/net/route' ? Buffer.from(this.route) : undefined),
    )
  }

  test.each([
    ['a route comes', (world: World) => (world.route += '\nwlan0')],
    ['the clock is set from 1970', (world: World) => (world.wallOffsetMs += 1_790_000_000_000)],
    ['the clock is set back a day', (world: World) => (world.wallOffsetMs -= 86_400_000)],
  ])('have changed within a second after %s', async (_, change) => {
    const world = new World()
    const changed = world.surroundings.changed(never)
    for (let times = 0; times < 5; times++) await world.clock.skip()
    await world.clock.someoneSleeps()
    change(world)
    expect(await world.clock.skip()).toBeLessThanOrEqual(1000)
    await changed
  })

  test('have not while the clock is only slewed, and nobody looks any more when nobody waits', async () => {
    const world = new World()
    const stopping = new AbortController()
    const changed = world.surroundings.changed(stopping.signal)
    for (let times = 0; times < 5; times++) {
      world.wallOffsetMs += 10
      await world.clock.skip()
    }
    await world.clock.someoneSleeps()
    stopping.abort()
    await changed
    expect(world.clock.nextMs).toBeUndefined()
  })
})
