import { expect, test } from 'vitest'
import type { DeviceId } from '../../protocol/ids.ts'
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
  maxStrangers: 3,
  maxStrangerBytes: 100,
  maxHeldBytes: 1000,
}

const hexa = 'hexa-7' as DeviceId
const quad = 'quad-2' as DeviceId

/** A server's guests, each of whom stays until it is sent away. */
class House {
  nowMs = 0
  readonly cut: string[] = []
  readonly #running = new Running(limits, { now: () => this.nowMs, sleep: async () => undefined })
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

test('a slot is free again when its request ends', async () => {
  const house = new House()
  house.come('a', hexa)
  house.come('b', hexa)
  await house.goHome('a')
  expect(house.come('c', hexa)).toBe('taken')
})

test('of the requests of one device that stand still, the stalest gives way to a new one', () => {
  const house = new House()
  house.come('a', hexa)
  const moving = house.enter('b')
  moving.takeSlot(hexa)
  house.nowMs = 1000
  moving.holding(1)

  expect(house.come('c', hexa)).toBe('taken')
  expect(house.cut).toEqual(['a'])
  expect(house.come('d', hexa)).toBe('deviceFull')
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
  expect(house.cut).toEqual([])
  await house.goHome('first')
  expect(second.holding(900)).toBe(true)
})
