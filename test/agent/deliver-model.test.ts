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

  /** What is under way is lost, and nothing moves for so long. */
  cut(ms: number): void {
    for (const { upload } of this.#sendings.splice(0)) this.model.abandoned(upload, this.nowMs)
    this.size.shrink(64 << 10)
    this.nowMs += ms
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
      this.size.grow()
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
    const bytes = this.size.next(this.model, this.#sendings.length)
    const mayBegin =
      this.#sendings.length === 0 ||
      (this.model.rate === undefined && this.#sendings.length < 3) ||
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
  simulation.run(20_000)
  simulation.receiptedBytes = 0
  simulation.run(10_000)
  expect(simulation.receiptedBytes).toBeGreaterThan(0.9 * 10_000 * 1250)
  simulation.air = slow
  simulation.run(120_000)
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

test('a line that passes a large body says nothing of the rate', () => {
  const model = new LinkModel()
  const large = model.begin(0)
  model.left(large, 1_000_000, 0)
  for (const nowMs of [0, 1000, 2000]) {
    const line = model.begin(nowMs)
    model.left(line, 100, nowMs)
    model.receipted(line, nowMs + 600)
  }
  expect(model.rate).toBeUndefined()
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

test('a pause of the link is no part of a round, and what was known of it holds on', () => {
  const simulation = new Simulation({ rate: 125, roundTripMs: 600 })
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
  const simulation = new Simulation({ rate: 125, roundTripMs: 600 })
  simulation.run(2500)
  expect(simulation.model.rate).toBeGreaterThan(0.9 * 125)
  expect(simulation.model.rate).toBeLessThan(1.3 * 125)
})

describe('the size of requests', () => {
  test('grows from 400 ms of the rate to 1.5 s, and begins again after a cut', () => {
    const size = new RequestSize(4 << 20)
    const link = { rate: 1000, pipeBytes: 0, isGrowing: false }
    expect(size.next(link, 0)).toBe(400_000)
    for (let times = 0; times < 10; times++) size.grow()
    expect(size.next(link, 0)).toBe(1_500_000)
    expect(size.next({ ...link, isGrowing: true }, 0)).toBe(400_000)
    size.shrink(1_500_000)
    expect(size.next(link, 0)).toBe(400_000)
    expect(size.next({ ...link, pipeBytes: 600_000 }, 0)).toBe(600_000)
    expect(size.next({ ...link, pipeBytes: 600_000 }, 1)).toBe(400_000)
  })

  test('that fell with one cut is halved once', () => {
    const size = new RequestSize(4 << 20)
    for (let times = 0; times < 4; times++) size.shrink(1 << 20)
    expect(size.next(known(), 0)).toBe(512 << 10)
  })

  test('halves with each cut, grows by a step with each receipt, and stays within what is allowed', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    expect(size.next(model, 0)).toBe(4 << 20)
    size.shrink(4 << 20)
    size.shrink(2 << 20)
    expect(size.next(model, 0)).toBe(1 << 20)
    size.grow()
    expect(size.next(model, 0)).toBe((1 << 20) + (128 << 10))
    for (let times = 0; times < 100; times++) size.grow()
    expect(size.next(model, 0)).toBe(4 << 20)
    for (let times = 0; times < 100; times++) size.shrink(size.next(model, 0))
    expect(size.next(model, 0)).toBe(1)
  })

  test('stays under one that was too large, whatever the server says that it takes, and grows slowly again', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    size.refusedAt(3 << 20)
    expect(size.next(model, 0)).toBe((3 << 20) / 2)
    size.allow(4 << 20)
    expect(size.next(model, 0)).toBe((3 << 20) / 2)
    for (let times = 0; times < 50; times++) size.grow()
    expect(size.next(model, 0)).toBeLessThan(3 << 20)
    for (let times = 0; times < 200; times++) size.grow()
    expect(size.next(model, 0)).toBe(4 << 20)
  })

  test('is no more than the server says', () => {
    const size = new RequestSize(4 << 20)
    const model = known()
    size.allow(2 << 20)
    expect(size.next(model, 0)).toBe(2 << 20)
    size.allow(1 << 30)
    expect(size.next(model, 0)).toBe(4 << 20)
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
