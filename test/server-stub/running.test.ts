import { expect, test } from 'vitest'
import { sha256, type DeviceId } from '../../protocol/ids.ts'
import {
  Running,
  type RunningLimits,
  type SlotVerdict,
  type Visit,
} from '../../server-stub/ingest/running.ts'

const limits: RunningLimits = {
  maxRequests: 4,
  maxPerDevice: 2,
  stalledMs: 1000,
  stalledBytes: 10,
  maxStrangers: 3,
  maxStrangerBytes: 100,
  maxHeldBytes: 1000,
}

const hexa = 'hexa-7' as DeviceId
const quad = 'quad-2' as DeviceId

/** A body that arrives piece by piece, as the test says. */
class Mail {
  readonly #post = new TransformStream<Uint8Array, Uint8Array>()
  readonly #writer = this.#post.writable.getWriter()
  readonly #received: AsyncIterator<Uint8Array>
  #next: Promise<IteratorResult<Uint8Array>> | undefined

  constructor(receiving: (pieces: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>) {
    this.#received = receiving(this.#post.readable)[Symbol.asyncIterator]()
  }

  /** The server has nothing to do but to wait for more. */
  wait(): Promise<IteratorResult<Uint8Array>> {
    return (this.#next ??= this.#received.next())
  }

  async bring(bytes: number): Promise<void> {
    const waiting = this.wait()
    await Promise.all([this.#writer.write(new Uint8Array(bytes)), waiting])
    this.#next = undefined
  }

  async end(): Promise<void> {
    await Promise.all([this.#writer.close(), this.wait()])
  }
}

/** A server's guests, each of whom stays until it is sent away. */
class House {
  /** Of the monotonic clock; the wall clock jumps about. */
  nowMs = 0
  readonly cut: string[] = []
  readonly #running = new Running(limits, {
    now: () => (this.nowMs * 7919) % 100_003,
    monotonicMs: () => this.nowMs,
    sleep: async () => undefined,
  })
  readonly #leave = new Map<string, () => void>()

  enter(name: string): Visit {
    const stay = new Promise<void>((leave) => this.#leave.set(name, leave))
    let visit: Visit | undefined
    void this.#running.run(
      async (given) => {
        visit = given
        await stay
      },
      () => this.cut.push(name),
    )
    if (!visit) throw new Error('a request is worked on at once')
    return visit
  }

  come(name: string, device: DeviceId): SlotVerdict {
    return this.enter(name).takeSlot(device)
  }

  /** A proven guest whose body comes through `mail`. */
  expecting(name: string, device: DeviceId): Mail {
    const visit = this.enter(name)
    visit.takeSlot(device)
    return new Mail((pieces) => visit.receiving(pieces))
  }

  async goHome(name: string): Promise<void> {
    this.#leave.get(name)?.()
    await Promise.resolve()
    await Promise.resolve()
    await Promise.resolve()
  }
}

test('no device takes the slots of the others', () => {
  const house = new House()
  expect(['a', 'b', 'c'].map((name) => house.come(name, hexa))).toEqual(['taken', 'taken', 'deviceFull'])
  expect(['d', 'e', 'f'].map((name) => house.come(name, quad))).toEqual(['taken', 'taken', 'full'])
  expect(house.cut).toEqual([])
})

test('one proof gives one slot, and is good again when its request ends', async () => {
  const house = new House()
  const [seen, other] = [sha256(Buffer.from('seen')), sha256(Buffer.from('other'))]
  expect(house.enter('a').takeSlot(hexa, seen)).toBe('taken')
  const again = house.enter('b')
  expect(again.takeSlot(hexa, seen)).toBe('unproven')
  expect(again.takeSlot(hexa, other)).toBe('taken')
  await house.goHome('a')
  expect(house.enter('c').takeSlot(hexa, seen)).toBe('taken')
})

test('a slot is free again when its request ends', async () => {
  const house = new House()
  house.come('a', hexa)
  house.come('b', hexa)
  await house.goHome('a')
  expect(house.come('c', hexa)).toBe('taken')
})

test('of the requests of one device that stand still, the stalest gives way to a new one', async () => {
  const house = new House()
  const [first, second] = [house.expecting('a', hexa), house.expecting('b', hexa)]
  void first.wait()
  void second.wait()
  house.nowMs = 999
  await second.bring(10)
  void second.wait()
  expect(house.come('c', hexa)).toBe('deviceFull')
  house.nowMs = 1000

  expect(house.come('d', hexa)).toBe('taken')
  expect(house.cut).toEqual(['a'])
  expect(house.come('e', hexa)).toBe('deviceFull')
})

test('who brings a byte now and then stands still', async () => {
  const house = new House()
  const [trickling, flowing] = [house.expecting('trickling', hexa), house.expecting('flowing', hexa)]
  for (house.nowMs = 0; house.nowMs < 1000; house.nowMs += 200) {
    await trickling.bring(1)
    await flowing.bring(10)
    void trickling.wait()
    void flowing.wait()
  }

  expect(house.come('c', hexa)).toBe('taken')
  expect(house.cut).toEqual(['trickling'])
})

test('who has sent all, or waits while the server works, keeps its slot however long that takes', async () => {
  const house = new House()
  const [whole, stored] = [house.expecting('whole', hexa), house.expecting('stored', hexa)]
  await whole.bring(1)
  await whole.end()
  await stored.bring(1)
  house.nowMs = 1_000_000

  expect(house.come('c', hexa)).toBe('deviceFull')
  expect(house.cut).toEqual([])
})

test('a stranger too many cuts off the first, and no one who has proven itself', () => {
  const house = new House()
  house.come('proven', hexa)
  for (const name of ['a', 'b', 'c', 'd']) house.enter(name)
  expect(house.cut).toEqual(['a'])
})

test('strangers that hold too much lose the one that holds most', () => {
  const house = new House()
  const [small, large] = [house.enter('small'), house.enter('large')]
  small.holding(40)
  large.holding(61)
  expect(house.cut).toEqual(['large'])
  small.holding(60)
  expect(house.cut).toEqual(['large'])
})

test('who is proven is told where there is no room, and holds nothing back from others when it leaves', async () => {
  const house = new House()
  const [first, second] = [house.enter('first'), house.enter('second')]
  first.takeSlot(hexa)
  second.takeSlot(quad)
  expect([first.holding(600), second.holding(400), second.holding(401)]).toEqual([true, true, false])
  expect([first.holding(600), first.holding(601)]).toEqual([true, false])
  expect(house.cut).toEqual([])
  await house.goHome('first')
  expect(second.holding(900)).toBe(true)
})
