import { describe, expect, test } from 'vitest'
import { LinkModel, type Upload } from '../../agent/deliver/link-model.ts'
import { RequestSize } from '../../agent/deliver/request-size.ts'
import { TokenBucket } from '../../agent/deliver/token-bucket.ts'

interface Air {
  /** Bytes a millisecond. */
  readonly rate: number
  readonly roundTripMs: number
}

interface Sending {
  readonly upload: Upload
  restBytes: number
  /** Of its bytes, those that stand before the narrow place. */
  queuedBytes: number
  dueMs: number | undefined
}

/** A link in steps of a millisecond: a narrow place with an endless buffer, and then half a round trip each way. */
class Simulation {
  readonly model = new LinkModel()
  readonly size = new RequestSize(4 << 20)
  air: Air
  receiptedBytes = 0
  mostBacklogBytes = 0
  nowMs = 0
  #carryBytes = 0
  readonly #sendings: Sending[] = []

  constructor(air: Air) {
    this.air = air
  }

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs++) this.#step()
  }

  #step(): void {
    this.#deliver()
    this.#drain()
    this.#send()
    const backlog = this.#sendings.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0)
    this.mostBacklogBytes = Math.max(this.mostBacklogBytes, backlog)
  }

  #deliver(): void {
    while ((this.#sendings[0]?.dueMs ?? Infinity) <= this.nowMs) {
      const done = this.#sendings.shift()
      if (!done) return
      this.model.receipted(done.upload, this.nowMs)
      this.receiptedBytes += done.upload.bytes
    }
  }

  #drain(): void {
    this.#carryBytes = Math.min(this.#carryBytes, this.air.rate) + this.air.rate
    for (const sending of this.#sendings) {
      const bytes = Math.min(sending.queuedBytes, this.#carryBytes)
      sending.queuedBytes -= bytes
      this.#carryBytes -= bytes
      const isThrough = sending.restBytes === 0 && sending.queuedBytes === 0
      if (isThrough) sending.dueMs ??= this.nowMs + this.air.roundTripMs
    }
  }

  #send(): void {
    const last = this.#sendings.at(-1)
    const awaited = this.#sendings.filter(({ restBytes }) => restBytes === 0)
    const awaitedBytes = awaited.reduce((sum, { upload }) => sum + upload.bytes, 0)
    const bytes = this.size.next(this.model)
    const mayBegin =
      this.#sendings.length === 0 ||
      (this.model.rate !== undefined && awaitedBytes <= 2 * this.model.pipeBytes + bytes)
    if ((last?.restBytes ?? 0) === 0 && mayBegin && this.#sendings.length < 6) {
      const upload = this.model.begin(this.nowMs)
      this.#sendings.push({ upload, restBytes: bytes, queuedBytes: 0, dueMs: undefined })
    }
    const open = this.#sendings.find(({ restBytes }) => restBytes > 0)
    if (open) this.#sendFrom(open)
  }

  #sendFrom(sending: Sending): void {
    while (sending.restBytes > 0 && this.model.waitMs(this.nowMs) === 0) {
      const piece = Math.min(sending.restBytes, 4096)
      this.model.left(sending.upload, piece, this.nowMs)
      sending.restBytes -= piece
      sending.queuedBytes += piece
    }
  }
}

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
      const simulation = new Simulation(air)
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
        Math.max(55, air.roundTripMs * 0.4, 8192 / air.rate) + (2 * 8192) / air.rate,
      )
    },
  )
})

test('a link that becomes ten times as fast is filled within seconds, and one that becomes as slow again is not flooded', () => {
  const slow = { rate: 125, roundTripMs: 200 }
  const simulation = new Simulation(slow)
  simulation.run(30_000)
  simulation.air = { rate: 1250, roundTripMs: 200 }
  simulation.run(10_000)
  simulation.receiptedBytes = 0
  simulation.run(10_000)
  expect(simulation.receiptedBytes).toBeGreaterThan(0.9 * 10_000 * 1250)
  simulation.air = slow
  simulation.run(40_000)
  simulation.mostBacklogBytes = 0
  simulation.receiptedBytes = 0
  simulation.run(10_000)
  expect(simulation.receiptedBytes).toBeGreaterThan(0.9 * 10_000 * 125)
  expect(simulation.mostBacklogBytes / 125).toBeLessThan(250)
})

test('what is sent because there is no more says nothing against the link', () => {
  const model = new LinkModel()
  const carry = (bytes: number, fromMs: number, toMs: number, isStarved: boolean): void => {
    const upload = model.begin(fromMs)
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

test('an upload that came to nothing leaves no trace in what is under way', () => {
  const model = new LinkModel()
  const first = model.begin(0)
  model.left(first, 1000, 0)
  model.receipted(first, 1000)
  const lost = model.begin(2000)
  model.left(lost, 1_000_000, 2000)
  expect(model.waitMs(2000)).toBeGreaterThan(0)
  model.abandoned(lost, 2001)
  expect(model.waitMs(2001)).toBe(0)
})

const known = (): LinkModel => {
  const model = new LinkModel()
  const upload = model.begin(0)
  model.left(upload, 100 << 20, 0)
  model.receipted(upload, 1000)
  return model
}

describe('the size of requests', () => {
  test('halves with each cut, grows by a step with each receipt, and stays within what is allowed', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    expect(size.next(model)).toBe(4 << 20)
    size.shrink(4 << 20)
    size.shrink(2 << 20)
    expect(size.next(model)).toBe(1 << 20)
    size.grow()
    expect(size.next(model)).toBe((1 << 20) + (128 << 10))
    for (let times = 0; times < 100; times++) size.grow()
    expect(size.next(model)).toBe(4 << 20)
    for (let times = 0; times < 100; times++) size.shrink(size.next(model))
    expect(size.next(model)).toBe(1)
  })

  test('stays under one that was too large, whatever the server says that it takes, and grows slowly again', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    size.refusedAt(3 << 20)
    expect(size.next(model)).toBe((3 << 20) / 2)
    size.allow(4 << 20)
    expect(size.next(model)).toBe((3 << 20) / 2)
    for (let times = 0; times < 50; times++) size.grow()
    expect(size.next(model)).toBeLessThan(3 << 20)
    for (let times = 0; times < 200; times++) size.grow()
    expect(size.next(model)).toBe(4 << 20)
  })

  test('is no more than the server says', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    size.allow(2 << 20)
    expect(size.next(model)).toBe(2 << 20)
    size.allow(1 << 30)
    expect(size.next(model)).toBe(4 << 20)
  })
})

test('a limit of bytes a second is kept to over any second, and smooth', () => {
  const bucket = new TokenBucket(10_000, 0)
  let taken = 0
  let longestMs = 0
  for (let nowMs = 0; nowMs < 10_000;) {
    const waitMs = bucket.waitMs(nowMs)
    longestMs = Math.max(longestMs, waitMs)
    nowMs += waitMs
    if (waitMs > 0) continue
    bucket.take(bucket.pieceBytes, nowMs)
    taken += bucket.pieceBytes
  }
  expect(taken).toBeGreaterThan(99_000)
  expect(taken).toBeLessThan(102_500)
  expect(longestMs).toBeLessThan(150)
})
