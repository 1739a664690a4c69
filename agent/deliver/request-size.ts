import type { LinkModel } from './link-model.ts'

/** A request lasts about so long: its receipt tells how the link does, and a cut puts no more than that in doubt. */
const aimedMs = 400
const leastAimedBytes = 48 * 1024
/** Before anything is known of the link. */
const firstBytes = 48 * 1024
const stepBytes = 128 * 1024

/**
 * How much the next request carries: additive increase with every receipt, multiplicative decrease with every cut and
 * time-out, between one record and the most that configuration and server allow.
 */
export class RequestSize {
  readonly #configured: number
  #allowed: number
  #limit: number

  constructor(maxBytes: number) {
    this.#configured = maxBytes
    this.#allowed = maxBytes
    this.#limit = maxBytes
  }

  /** In bytes; a record that is larger travels alone. */
  next({ rate }: LinkModel): number {
    const aimed = rate === undefined ? firstBytes : Math.max(leastAimedBytes, rate * aimedMs)
    return Math.max(1, Math.floor(Math.min(aimed, this.#limit, this.#allowed)))
  }

  grow(): void {
    this.#limit = Math.min(this.#configured, this.#limit + stepBytes)
  }

  /** A request of so many bytes came to nothing. */
  shrink(bytes: number): void {
    this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, bytes) / 2))
  }

  /** The server found so many bytes too large: no request is as large again until it says what it takes. */
  refusedAt(bytes: number): void {
    this.#allowed = Math.max(1, Math.floor(Math.min(this.#allowed, bytes) / 2))
  }

  /** What the server takes. */
  allow(maxBytes: number): void {
    this.#allowed = Math.min(this.#configured, maxBytes)
  }
}
