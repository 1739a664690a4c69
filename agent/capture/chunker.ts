import type { ByteOffset } from '../../protocol/ids.ts'
import type { ChunkBuffers } from './chunk-buffers.ts'

/** How large a chunk may become. */
export interface ChunkLimits {
  readonly maxBytes: number
  /** Where that much waits to be read, a chunk may be as large as this: each costs the same, whatever its size. */
  readonly catchUpBytes: number
}

export interface ChunkRules extends ChunkLimits {
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
  /** Of the chunk that is being filled. */
  #limit: number
  /** When the oldest uncut byte was read. */
  #sinceMs = 0

  constructor(offset: ByteOffset, rules: ChunkRules, buffers: ChunkBuffers) {
    this.#offset = offset
    this.#rules = rules
    this.#buffers = buffers
    this.#limit = rules.maxBytes
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
    if (!this.#buffer) this.#limit = this.#limitFor(waiting)
    this.#buffer ??= await this.#fillBuffer(signal)
    return this.#buffer?.subarray(this.#length, this.#limit) ?? new Uint8Array(0)
  }

  #limitFor(waiting: number): number {
    const { maxBytes, catchUpBytes } = this.#rules
    return this.#length < maxBytes && this.#length + waiting < catchUpBytes ? maxBytes : catchUpBytes
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
    if (all) return this.#cutAt(this.#length, nowMs)
    const isDue = this.#length >= this.#limit || this.dueInMs(nowMs) === 0
    return isDue ? this.#cutAt(this.#preferredEnd(), nowMs) : undefined
  }

  #preferredEnd(): number {
    if (this.#rules.format === 'binary') return this.#length
    const afterNewline = this.#uncut().lastIndexOf(newline) + 1
    return afterNewline > 0 ? afterNewline : this.#length
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
    this.#limit = this.#rules.maxBytes
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
