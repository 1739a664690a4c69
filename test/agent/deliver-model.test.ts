import { describe, expect, test } from 'vitest'
import { LinkModel } from '../../agent/deliver/link-model.ts'
import type { Upload } from '../../agent/deliver/upload.ts'
import { SimulatedLink, type Air } from '../kit/simulated-link.ts'

const links: [string, Air][] = [
  ['1 Mbit/s, 600 ms', { rate: 125, roundTripMs: 600 }],
  ['64 kbit/s, 1 s', { rate: 8, roundTripMs: 1000 }],
  ['100 Mbit/s, 20 ms', { rate: 12_500, roundTripMs: 20 }],
  ['20 Mbit/s, 600 ms', { rate: 2500, roundTripMs: 600 }],
]

describe('on a link of', () => {
  test.each(links)(
    '%s the model finds rate and round trip, fills it, and lets little stand before it',
    (_, air) => {
      const simulation = new SimulatedLink(air)
      simulation.run(150_000)
      const { model } = simulation
      expect((model.rate ?? 0) / air.rate).toBeGreaterThan(0.95)
      expect((model.rate ?? 0) / air.rate).toBeLessThan(1.1)
      simulation.receiptedBytes = 0
      simulation.mostBacklogBytes = 0
      simulation.run(180_000)
      expect(simulation.receiptedBytes).toBeGreaterThan(0.95 * 180_000 * air.rate)
      expect(model.roundTripMs).toBeLessThan(air.roundTripMs * 1.1 + 20 + 8192 / air.rate)
      // What is urgent waits no longer than this for what is not.
      const waitMs = simulation.mostBacklogBytes / air.rate
      expect(waitMs).toBeLessThan(
        Math.max(60, air.roundTripMs * 0.4, 8192 / air.rate) + (2 * 8192) / air.rate,
      )
    },
  )
})

test('a link that becomes ten times as fast is filled within seconds, and one that becomes as slow again is not flooded', () => {
  const slow = { rate: 125, roundTripMs: 200 }
  const simulation = new SimulatedLink(slow)
  simulation.run(30_000)
  simulation.air = { rate: 1250, roundTripMs: 200 }
  simulation.run(20_000)
  simulation.receiptedBytes = 0
  simulation.run(10_000)
  expect(simulation.receiptedBytes).toBeGreaterThan(0.9 * 10_000 * 1250)
  simulation.air = slow
  simulation.run(150_000)
  simulation.mostBacklogBytes = 0
  simulation.receiptedBytes = 0
  simulation.run(10_000)
  expect(simulation.receiptedBytes).toBeGreaterThan(0.9 * 10_000 * 125)
  expect(simulation.mostBacklogBytes / 125).toBeLessThan(250)
})

test('a link that becomes ten times as fast is found out on a busy machine, too', () => {
  const simulation = new SimulatedLink({ rate: 125, roundTripMs: 200, hiccupMs: 150 }, 330_000)
  simulation.run(60_000)
  simulation.air = { rate: 1250, roundTripMs: 200, hiccupMs: 150 }
  simulation.run(20_000)
  expect(simulation.model.rate).toBeGreaterThan(0.8 * 1250)
})

test('bodies leave a fiftieth faster than at the known rate, so that one that is too low is found out', () => {
  const simulation = new SimulatedLink({ rate: 125, roundTripMs: 600 })
  simulation.run(60_000)
  const { model, nowMs } = simulation
  const upload = model.begin(2 << 20, nowMs)
  model.left(upload, 1 << 20, nowMs)
  const soonMs = model.waitMs(nowMs)
  model.left(upload, 1 << 20, nowMs)
  expect((1 << 20) / (model.waitMs(nowMs) - soonMs) / (model.rate ?? 0)).toBeCloseTo(1.02, 3)
})

test('what is sent because there is no more says nothing against the link', () => {
  const model = new LinkModel()
  const carry = (bytes: number, fromMs: number, toMs: number, isStarved: boolean): void => {
    const upload = model.begin(bytes, fromMs)
    model.left(upload, bytes, fromMs)
    upload.isStarved = isStarved
    model.receipted(upload, toMs)
  }
  carry(100_000, 0, 1000, false)
  for (let times = 1; times < 50; times++) carry(10, times * 10_000, times * 10_000 + 1000, true)
  expect(model.rate).toBe(100)
  carry(300_000, 900_000, 901_000, true)
  expect(model.rate).toBe(300)
})

test('a line that passes a large body says nothing of the rate', () => {
  const model = new LinkModel()
  const large = model.begin(1_000_000, 0)
  model.left(large, 1_000_000, 0)
  for (const nowMs of [0, 1000, 2000]) {
    const line = model.begin(100, nowMs)
    model.left(line, 100, nowMs)
    model.receipted(line, nowMs + 600)
  }
  expect(model.rate).toBeUndefined()
})

test('lines that come alone say nothing of the rate, so that what comes in bulk is not held to it', () => {
  const model = new LinkModel()
  for (let nowMs = 0; nowMs < 60_000; nowMs += 5000) {
    const line = model.begin(300, nowMs)
    model.left(line, 300, nowMs)
    line.isStarved = true
    model.receipted(line, nowMs + 600)
  }
  expect(model.rate).toBeUndefined()
})

function send(model: LinkModel, bytes: number, nowMs: number): Upload {
  const upload = model.begin(bytes, nowMs)
  for (let left = 0; left < bytes && !model.isFull; left += 4096) model.left(upload, 4096, nowMs)
  return upload
}

describe('no more leaves until a receipt comes than', () => {
  test('an upload and half of one, or 96 KiB, before anything is known', () => {
    const model = new LinkModel()
    expect(send(model, 40 << 10, 0).bytes).toBe(40 << 10)
    expect(send(model, 400 << 10, 0).bytes).toBe(96 << 10)
    const other = new LinkModel()
    expect(send(other, 400 << 10, 0).bytes).toBe(400 << 10)
    expect(send(other, 400 << 10, 0).bytes).toBe(200 << 10)
  })

  test('an upload and twice what fills the link, and a server that keeps one waiting holds up no other', () => {
    const model = new LinkModel()
    const first = send(model, 81_920, 0)
    model.receipted(first, 1000)
    const { rate = 0, pipeBytes } = model
    const most = 2 * pipeBytes + 100 * rate + 8192
    const slow = send(model, 81_920, 1000)
    expect(slow.bytes).toBe(81_920)
    const quick = send(model, 819_200, 1000)
    expect(quick.bytes).toBeGreaterThanOrEqual(most)
    expect(quick.bytes).toBeLessThan(most + 4096)
    model.left(quick, 819_200 - quick.bytes, 1000)
    model.receipted(quick, 9000)
    const next = send(model, 819_200, 9000)
    expect(next.bytes).toBe(819_200)
  })
})

test('an upload that came to nothing leaves no trace in what is under way', () => {
  const model = new LinkModel()
  const first = model.begin(1000, 0)
  model.left(first, 1000, 0)
  model.receipted(first, 1000)
  const lost = model.begin(1_000_000, 2000)
  model.left(lost, 1_000_000, 2000)
  expect(model.waitMs(2000)).toBeGreaterThan(0)
  model.abandoned(lost, 2001)
  expect(model.waitMs(2001)).toBe(0)
})

test('a pause of the link is no part of a round, and what was known of it holds on', () => {
  const simulation = new SimulatedLink({ rate: 125, roundTripMs: 600 })
  simulation.run(60_000)
  const { model } = simulation
  const { rate = 0 } = model
  simulation.cut(10_000)
  expect(model.waitMs(simulation.nowMs)).toBe(0)
  simulation.receiptedBytes = 0
  for (let seconds = 0; seconds < 20; seconds++) {
    simulation.run(1000)
    expect(model.rate).toBeGreaterThan(0.95 * rate)
  }
  expect(simulation.receiptedBytes).toBeGreaterThan(0.88 * 20_000 * 125)
})

test('the rate is known a round trip after the first receipt', () => {
  const simulation = new SimulatedLink({ rate: 125, roundTripMs: 600 })
  simulation.run(2500)
  expect(simulation.model.rate).toBeGreaterThan(0.9 * 125)
  expect(simulation.model.rate).toBeLessThan(1.3 * 125)
})

test('a way that truly becomes longer is learnt, and filled', () => {
  const simulation = new SimulatedLink({ rate: 125, roundTripMs: 200 })
  simulation.run(60_000)
  simulation.air = { rate: 125, roundTripMs: 1000 }
  simulation.run(180_000)
  expect(simulation.model.roundTripMs).toBeGreaterThan(900)
  expect(simulation.model.roundTripMs).toBeLessThan(1500)
  simulation.receiptedBytes = 0
  simulation.run(60_000)
  expect(simulation.receiptedBytes).toBeGreaterThan(0.9 * 60_000 * 125)
})
