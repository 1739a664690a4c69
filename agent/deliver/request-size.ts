import type { LinkModel } from './link-model.ts'

/** A request lasts about so long: its receipt tells how the link does, and a cut puts no more than that in doubt. */
const aimedMs = 400
const leastAimedBytes = 48 * 1024
/** Before anything is known of the link. */
const firstBytes = 48 * 1024
const stepBytes = 128 * 1024
/** What was found too large is approached slowly: each time it is reached costs a request. */
const leastCautiousStepBytes = 1024
const cautiousStep = 1 / 128

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

  constructor(maxBytes: number) {
    this.#configured = maxBytes
    this.#allowed = maxBytes
    this.#limit = maxBytes
  }

  /** In bytes; a record that is larger travels alone. */
  next({ rate }: LinkModel): number {
    const aimed = rate === undefined ? firstBytes : Math.max(leastAimedBytes, rate * aimedMs)
    return Math.max(1, Math.floor(Math.min(aimed, this.#limit, this.#allowed, this.#refused)))
  }

  grow(): void {
    this.#limit = Math.min(this.#configured, this.#limit + stepBytes)
    this.#refused += Math.max(leastCautiousStepBytes, this.#refused * cautiousStep)
  }

  /** A request of so many bytes came to nothing. */
  shrink(bytes: number): void {
    this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, bytes) / 2))
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
