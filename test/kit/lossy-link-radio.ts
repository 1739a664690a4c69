import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What the air is like. Bytes are held and cut, never altered and never reordered. */
export interface Conditions {
  /** Added to every byte, one way: half a round trip. A new connection costs a round trip before its first byte. */
  readonly latencyMs?: number
  /** Up to so much more, by chance. */
  readonly jitterMs?: number
  /** Each way, for all connections together: they take turns, as they do at one radio. */
  readonly bytesPerSecond?: number
  /** Which part of the packets is lost, 0 to 1. A lost one holds its connection up for `retransmitMs` (200). */
  readonly lossRate?: number
  readonly retransmitMs?: number
  /** Again and again nothing moves for `stallMs`; from one stall to the next it is `stallEveryMs` on average. */
  readonly stallMs?: number
  readonly stallEveryMs?: number
}

/** What radios ask of the link that they are part of. */
export interface Air {
  readonly conditions: () => Conditions
  /** From 0 up to, not including, 1. */
  readonly chance: () => number
  /** Resolves once bytes may move. */
  readonly clear: () => Promise<void>
}

const packetBytes = 1400
/** No more is read from a connection while so much of it waits, as a radio's buffer is not endless either. */
const bufferBytes = 32 * 1024
/** Of one connection, sent and not yet arrived: the window that its far end would have opened. */
const windowBytes = 4 * 1024 * 1024
/** A turn is a packet, or as many as leave in this time: timers are no finer. */
const turnMs = 2
/** How much of a timer's lateness is made up for. */
const catchUpMs = 100

/** One way of one connection: what waits for its turn, and what is in the air. */
export class Lane {
  readonly #from: Socket
  readonly #radio: Radio
  readonly #air: Air
  readonly #pass: (bytes: Uint8Array) => Promise<void>
  readonly #waiting: Buffer[] = []
  #waitingBytes = 0
  #flyingBytes = 0
  #isHeldUp = false
  /** Of what is in the air, in order. */
  #carrying: Promise<void> = Promise.resolve()
  /** What is to happen behind the last byte. */
  #last: (() => void) | undefined

  /** `pass` hands bytes to the far end when they arrive there. */
  constructor(from: Socket, radio: Radio, air: Air, pass: (bytes: Uint8Array) => Promise<void>) {
    this.#from = from
    this.#radio = radio
    this.#air = air
    this.#pass = pass
    from.on('data', (bytes) => {
      this.#waiting.push(bytes)
      this.#waitingBytes += bytes.length
      if (this.#waitingBytes >= bufferBytes) from.pause()
      radio.wake(this)
    })
  }

  get isReady(): boolean {
    const mayGoOn = !this.#isHeldUp && this.#flyingBytes < windowBytes
    return mayGoOn && (this.#waitingBytes > 0 || this.#last !== undefined)
  }

  /** Does `last` at the far end, behind all bytes. */
  finish(last: () => void): void {
    this.#last = last
    this.#radio.wake(this)
  }

  /** What waits is never sent, nor what may still come. */
  drop(): void {
    this.#from.removeAllListeners('data').pause()
    this.#waiting.length = 0
    this.#waitingBytes = 0
    this.#last = undefined
  }

  /** The next bytes to be sent, at most so many. */
  take(maxBytes: number): Uint8Array {
    const first = this.#waiting.shift() ?? Buffer.alloc(0)
    const slice = first.subarray(0, maxBytes)
    if (slice.length < first.length) this.#waiting.unshift(first.subarray(slice.length))
    this.#waitingBytes -= slice.length
    if (this.#waitingBytes < bufferBytes) this.#from.resume()
    return slice
  }

  /** Brings bytes that were sent to the far end when they are due. */
  launch(slice: Uint8Array, dueMs: number): void {
    const lostMs = this.#lossMs(slice.length)
    const last = this.#waitingBytes === 0 ? this.#last : undefined
    if (last) this.#last = undefined
    this.#flyingBytes += slice.length
    this.#carrying = this.#carrying.then(async () => {
      await waitUntil(dueMs + lostMs)
      await this.#air.clear()
      if (slice.length > 0) await this.#pass(slice)
      this.#flyingBytes -= slice.length
      last?.()
      this.#radio.wake(this)
    })
    if (lostMs > 0) void this.#holdUp(dueMs + lostMs)
  }

  #lossMs(bytes: number): number {
    const { lossRate = 0, retransmitMs = 200 } = this.#air.conditions()
    if (lossRate === 0) return 0
    const arrives = (1 - lossRate) ** Math.ceil(bytes / packetBytes)
    return this.#air.chance() < arrives ? 0 : retransmitMs
  }

  async #holdUp(untilMs: number): Promise<void> {
    this.#isHeldUp = true
    await waitUntil(untilMs)
    this.#isHeldUp = false
    this.#radio.wake(this)
  }
}

/** One way of a link: sends for all its lanes, a turn each, at its rate. */
export class Radio {
  readonly #air: Air
  readonly #turns = new Set<Lane>()
  #isSending = false
  /** When the last byte will have left. */
  #freeMs = 0

  constructor(air: Air) {
    this.#air = air
  }

  /** The lane may have something to send. */
  wake(lane: Lane): void {
    if (!lane.isReady) return
    this.#turns.add(lane)
    if (!this.#isSending) void this.#send()
  }

  async #send(): Promise<void> {
    this.#isSending = true
    this.#freeMs = Math.max(this.#freeMs, performance.now())
    for (const lane of this.#turns) {
      await this.#untilClear()
      this.#turns.delete(lane)
      this.#sendOne(lane)
      this.wake(lane)
      await waitUntil(this.#freeMs)
    }
    this.#isSending = false
  }

  /** What could not be sent meanwhile is not made up for. */
  async #untilClear(): Promise<void> {
    const beforeMs = performance.now()
    await this.#air.clear()
    const nowMs = performance.now()
    if (nowMs - beforeMs > turnMs) this.#freeMs = Math.max(this.#freeMs, nowMs)
  }

  #sendOne(lane: Lane): void {
    const { latencyMs = 0, jitterMs = 0, bytesPerSecond = Infinity } = this.#air.conditions()
    const slice = lane.take(Math.max(packetBytes, Math.floor((bytesPerSecond * turnMs) / 1000)))
    const sendingMs = (slice.length * 1000) / bytesPerSecond
    const nowMs = performance.now()
    this.#freeMs = Math.max(this.#freeMs, nowMs - catchUpMs) + sendingMs
    lane.launch(slice, Math.max(this.#freeMs, nowMs) + latencyMs + this.#air.chance() * jitterMs)
  }
}

/** By the monotonic clock; never too early, as a bare timer may be. */
export async function waitUntil(dueMs: number): Promise<void> {
  const ms = dueMs - performance.now()
  if (ms > 0) await sleep(Math.ceil(ms))
}

/** Chance that can be repeated. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
