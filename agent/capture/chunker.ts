import type { ByteOffset } from '../../protocol/ids.ts'
import type { ChunkBuffers } from './chunk-buffers.ts'

/** How large a chunk may become; the server may come to take less. */
export interface ChunkLimits {
  readonly maxBytes: number
  /** Where that much waits to be read, a chunk may be as large as this: each costs the same, whatever its size. */
  readonly catchUpBytes: number
}

export interface ChunkRules {
  /** As they are at each look. */
  readonly limits: ChunkLimits
  readonly maxAgeMs: number
  /** A chunk of text prefers to end at a newline, and never needs one. */
  readonly format: 'text' | 'binary'
}

/** The bytes of one chunk. They are valid until it is released, which must be done once. */
export interface Cut {
  readonly offset: ByteOffset
  readonly bytes: Uint8Array
  release(): void
}

const newline = 0x0a

/**
 * Collects a file's bytes and cuts them by size and age. While bytes flow it owns one of the shared buffers; in between
 * it keeps a small copy of what is not yet cut.
 */
export class Chunker implements Disposable {
  readonly #rules: ChunkRules
  readonly #buffers: ChunkBuffers
  #offset: ByteOffset
  #buffer: Uint8Array | undefined
  /** What is uncut while there is no buffer. */
  #rest: Uint8Array = new Uint8Array(0)
  #length = 0
  /** Much waited when the chunk was begun. */
  #isCatchingUp = false
  /** When the oldest uncut byte was read. */
  #sinceMs = 0

  constructor(offset: ByteOffset, rules: ChunkRules, buffers: ChunkBuffers) {
    this.#offset = offset
    this.#rules = rules
    this.#buffers = buffers
  }

  get uncutBytes(): number {
    return this.#length
  }

  /** A copy of the last uncut bytes, at most `most`. */
  lastBytes(most: number): Uint8Array {
    return this.#uncut().slice(-most)
  }

  /** Goes on at another place; nothing must be uncut. */
  skipTo(offset: number): void {
    this.#offset = offset as ByteOffset
  }

  /**
   * Where the next of the `waiting` bytes are to be read into; empty when a chunk is to be cut first, or the signal fires
   * before there is room.
   */
  async room(waiting: number, signal: AbortSignal): Promise<Uint8Array> {
    if (!this.#buffer) this.#isCatchingUp = this.#isMuch(waiting)
    this.#buffer ??= await this.#fillBuffer(signal)
    return this.#buffer?.subarray(this.#length, this.#most) ?? new Uint8Array(0)
  }

  #isMuch(waiting: number): boolean {
    const { maxBytes, catchUpBytes } = this.#rules.limits
    return this.#length >= maxBytes || this.#length + waiting >= catchUpBytes
  }

  /** Of the chunk that is being filled. */
  get #most(): number {
    const { maxBytes, catchUpBytes } = this.#rules.limits
    return this.#isCatchingUp ? catchUpBytes : maxBytes
  }

  async #fillBuffer(signal: AbortSignal): Promise<Uint8Array | undefined> {
    const buffer = await this.#buffers.take(signal)
    buffer?.set(this.#rest)
    if (buffer) this.#rest = new Uint8Array(0)
    return buffer
  }

  /** Counts in the `count` bytes that were read into `room`. */
  took(count: number, nowMs: number): void {
    if (this.#length === 0) this.#sinceMs = nowMs
    this.#length += count
  }

  /** Milliseconds until the oldest byte is so old that it must be cut. */
  dueInMs(nowMs: number): number {
    return this.#length === 0 ? Infinity : Math.max(0, this.#sinceMs + this.#rules.maxAgeMs - nowMs)
  }

  /** The chunk that is due by size or age, or, with `all`, whatever there is; undefined when there is none. */
  cut(nowMs: number, all: boolean): Cut | undefined {
    if (this.#length === 0) return undefined
    // The server may have said meanwhile that it takes less than is here.
    const isFull = this.#length >= this.#most
    if (!isFull && all) return this.#cutAt(this.#length, nowMs)
    return isFull || this.dueInMs(nowMs) === 0 ? this.#cutAt(this.#preferredEnd(), nowMs) : undefined
  }

  #preferredEnd(): number {
    const most = Math.min(this.#length, this.#most)
    if (this.#rules.format === 'binary') return most
    const afterNewline = this.#uncut().subarray(0, most).lastIndexOf(newline) + 1
    return afterNewline > 0 ? afterNewline : most
  }

  #uncut(): Uint8Array {
    return (this.#buffer ?? this.#rest).subarray(0, this.#length)
  }

  #cutAt(end: number, nowMs: number): Cut {
    const uncut = this.#uncut()
    const buffer = this.#buffer
    const cut = { offset: this.#offset, bytes: uncut.subarray(0, end), release: () => this.#giveBack(buffer) }
    this.#rest = uncut.slice(end)
    this.#buffer = undefined
    this.#length = this.#rest.length
    this.#offset = (this.#offset + end) as ByteOffset
    this.#sinceMs = nowMs
    return cut
  }

  #giveBack(buffer: Uint8Array | undefined): void {
    if (buffer) this.#buffers.giveBack(buffer)
  }

  /** Gives the buffer back, with whatever is in it uncut. */
  [Symbol.dispose](): void {
    this.#giveBack(this.#buffer)
    this.#buffer = undefined
  }

  /** Lets others use the buffer while no bytes come: what is uncut is kept as a copy. */
  rest(): void {
    if (!this.#buffer) return
    this.#rest = this.#uncut().slice()
    this.#buffers.giveBack(this.#buffer)
    this.#buffer = undefined
  }
}
