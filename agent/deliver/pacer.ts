import type { Clock } from '../clock.ts'
import { Doorbell } from '../doorbell.ts'
import type { Lane } from '../queue/lane.ts'
import type { LinkModel } from './link-model.ts'
import type { Sluice } from './link.ts'
import type { TokenBucket } from './token-bucket.ts'
import type { Upload } from './upload.ts'

const lanes: readonly Lane[] = ['high', 'normal', 'low']
/** 0 goes first. */
export const rankOf = (lane: Lane): number => lanes.indexOf(lane)

/** A body is let go in pieces of about this long, so that what is more urgent need not wait longer. */
const pieceMs = 20
const leastPieceBytes = 4 * 1024
const mostPieceBytes = 1024 * 1024
/** Before anything is known of the link: less than a connection takes at once, for when it has taken one others may follow. */
const firstPieceBytes = 16 * 1024
/** A body that waits for what is more urgent lets a piece go now and then: servers end what stands still. */
const trickleMs = 10_000

/** The body of one request on its way out. */
export interface Passage extends Sluice {
  readonly lane: Lane
  readonly upload: Upload
  /** What has not left yet. */
  readonly restBytes: number
  /** When its last byte so far left, or it was opened. */
  readonly movedMs: number
}

/**
 * Lets the bodies of requests go, piece by piece: what is urgent first, then in the order in which they were opened, no
 * faster than the limit that was set, and no further ahead of the link than the model says.
 */
export class Pacer {
  readonly #model: LinkModel
  readonly #clock: Clock
  readonly #limit: TokenBucket | undefined
  /** Rings when a piece was granted or has left, and when a passage opens or closes. */
  readonly moved = new Doorbell()
  readonly #open = new Set<OpenPassage>()

  constructor(model: LinkModel, clock: Clock, limit?: TokenBucket) {
    this.#model = model
    this.#clock = clock
    this.#limit = limit
  }

  /** Granted or not, what has not left of bodies as urgent as this, or more. */
  restBytes(lane: Lane): number {
    const ahead = [...this.#open].filter((passage) => rankOf(passage.lane) <= rankOf(lane))
    return ahead.reduce((sum, { restBytes }) => sum + restBytes, 0)
  }

  open(lane: Lane, bytes: number): Passage {
    const passage: OpenPassage = {
      lane,
      upload: this.#model.begin(bytes, this.#clock.monotonicMs()),
      restBytes: bytes,
      movedMs: this.#clock.monotonicMs(),
      isWaiting: false,
      hasBegun: false,
      take: (wanted, signal) => this.#take(passage, wanted, signal),
      left: (count) => this.#left(passage, count),
    }
    this.#open.add(passage)
    this.moved.ring()
    return passage
  }

  /** Its request is over. */
  close(passage: Passage): void {
    this.#open.delete(passage as OpenPassage)
    this.moved.ring()
  }

  async #take(passage: OpenPassage, wanted: number, signal: AbortSignal): Promise<number> {
    passage.isWaiting = true
    try {
      while (!signal.aborted) {
        const seen = this.moved.rings
        const waitMs = this.#waitMs(passage)
        if (waitMs === 0) return this.#grant(passage, wanted)
        await this.moved.waitBeyond(seen, waitMs, this.#clock, signal)
      }
      return 0
    } finally {
      passage.isWaiting = false
      // Who is behind it has its turn, even where its piece never leaves.
      if (this.#isAwaited) this.moved.ring()
    }
  }

  get #isAwaited(): boolean {
    return [...this.#open].some(({ isWaiting }) => isWaiting)
  }

  #waitMs(passage: OpenPassage): number {
    const nowMs = this.#clock.monotonicMs()
    const turnMs = this.#turnMs(passage, nowMs)
    if (turnMs > 0) return turnMs
    const isHeld = passage.lane !== 'high' && this.#model.isFull
    const trickleInMs = passage.movedMs + trickleMs - nowMs
    if (isHeld && trickleInMs > 0) return trickleInMs
    const limitMs = this.#limit?.waitMs(nowMs) ?? 0
    if (limitMs > 0) passage.upload.isStarved = true
    return Math.max(limitMs, this.#model.waitMs(nowMs))
  }

  /** 0 when it is this one's turn; else how long it stands still before it gets a piece all the same. */
  #turnMs(passage: OpenPassage, nowMs: number): number {
    const rank = rankOf(passage.lane)
    const others = [...this.#open].filter((other) => other !== passage && other.restBytes > 0)
    if (others.some((other) => rankOf(other.lane) < rank)) {
      return Math.max(0, passage.movedMs + trickleMs - nowMs)
    }
    const older = others.find((other) => rankOf(other.lane) === rank && other.isWaiting)
    return older && isBefore(older, passage, this.#open) ? Infinity : 0
  }

  /** Booked before it leaves: two that ask at one moment must not get the same room. */
  #grant(passage: OpenPassage, wanted: number): number {
    const nowMs = this.#clock.monotonicMs()
    const { rate } = this.#model
    const piece =
      rate === undefined
        ? firstPieceBytes
        : Math.min(mostPieceBytes, Math.max(leastPieceBytes, Math.floor(rate * pieceMs)))
    const bytes = Math.min(wanted, piece, this.#limit?.pieceBytes ?? Infinity)
    this.#model.left(passage.upload, bytes, nowMs)
    this.#limit?.take(bytes, nowMs)
    passage.movedMs = nowMs
    return bytes
  }

  #left(passage: OpenPassage, bytes: number): void {
    passage.restBytes -= bytes
    passage.movedMs = this.#clock.monotonicMs()
    if (!passage.hasBegun) this.#model.began(passage.upload, passage.movedMs)
    passage.hasBegun = true
    this.#model.left(passage.upload, 0, passage.movedMs)
    this.moved.ring()
  }
}

interface OpenPassage extends Passage {
  restBytes: number
  movedMs: number
  isWaiting: boolean
  hasBegun: boolean
}

function isBefore(one: OpenPassage, other: OpenPassage, inOrder: ReadonlySet<OpenPassage>): boolean {
  for (const passage of inOrder) {
    if (passage === one) return true
    if (passage === other) return false
  }
  return false
}
