import type { LinkModel } from './link-model.ts'

/**
 * A request lasts about so long: its receipt tells how the link does, and high priority passes it anyway. From the least,
 * after a cut, it grows to the most, which keeps a server that comes back to a fleet from being asked too often.
 */
const leastAimedMs = 400
const mostAimedMs = 1500
const aimGrowth = 1.5
const leastAimedBytes = 48 * 1024
/** Before anything is known of the link the first request is small, so that its receipt comes soon; the next is larger. */
const firstBytes = 16 * 1024
/** Of what fills the link, the first request after a cut. */
const firstOfPipe = 1.5
const stepBytes = 128 * 1024
/** What was found too large is approached slowly: each time it is reached costs a request. */
const leastCautiousStepBytes = 1024
const cautiousStep = 1 / 128

/** What the size depends on. */
export type KnownLink = Pick<LinkModel, 'rate' | 'pipeBytes' | 'isGrowing'>

/**
 * How much the next request carries: additive increase with every receipt, multiplicative decrease with every cut and
 * time-out, between one record and the most that configuration and server allow.
 */
export class RequestSize {
  readonly #configured: number
  /** By configuration, and by what the server says of itself. */
  #allowed: number
  #limit: number
  /** What was answered 413, whatever the server says that it takes: there may be a proxy in front. */
  #refused = Infinity
  #aimedMs = leastAimedMs

  constructor(maxBytes: number) {
    this.#configured = maxBytes
    this.#allowed = maxBytes
    this.#limit = maxBytes
  }

  /** In bytes, behind so many requests that are under way; a record that is larger travels alone. */
  next(link: KnownLink, underWay: number): number {
    return Math.max(
      1,
      Math.floor(Math.min(this.#aimed(link, underWay), this.#limit, this.#allowed, this.#refused)),
    )
  }

  /**
   * At least what fills the link, and its new connections, too: while one request tries it out after a cut, it is not idle.
   */
  #aimed({ rate, pipeBytes, isGrowing }: KnownLink, underWay: number): number {
    if (rate === undefined) return Math.min(leastAimedBytes, firstBytes * 2 ** underWay)
    const aimedMs = isGrowing ? leastAimedMs : this.#aimedMs
    return Math.max(
      leastAimedBytes,
      rate * aimedMs,
      underWay === 0 && !isGrowing ? pipeBytes * firstOfPipe : 0,
    )
  }

  grow(): void {
    this.#limit = Math.min(this.#configured, this.#limit + stepBytes)
    this.#refused += Math.max(leastCautiousStepBytes, this.#refused * cautiousStep)
    this.#aimedMs = Math.min(mostAimedMs, this.#aimedMs * aimGrowth)
  }

  /** A request of so many bytes came to nothing. Others of this size that fell with it make it no smaller. */
  shrink(bytes: number): void {
    this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, bytes / 2)))
    this.#aimedMs = leastAimedMs
  }

  /** So many bytes were too large, for the server or for a proxy: half of it is tried, and then slowly more. */
  refusedAt(bytes: number): void {
    this.#refused = Math.max(1, Math.min(this.#refused, bytes) / 2)
  }

  /** What the server takes. */
  allow(maxBytes: number): void {
    this.#allowed = Math.min(this.#configured, maxBytes)
  }
}
