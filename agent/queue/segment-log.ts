import type { Files, OpenFile } from '../world.ts'

/** Where bytes stand in the log. */
export interface Extent {
  readonly segment: number
  readonly offset: number
  readonly length: number
}

const suffix = '.logb'

export function segmentName(segment: number): string {
  return `${String(segment).padStart(8, '0')}${suffix}`
}

interface Segment {
  readonly file: OpenFile
  /** Where the next bytes go. */
  end: number
  /** Records in it that the index still needs. */
  live: number
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

function layOut(segment: number, start: number, records: readonly Uint8Array[]): Extent[] {
  let offset = start
  return records.map(({ length }) => {
    const extent = { segment, offset, length }
    offset += length
    return extent
  })
}

/**
 * The bytes of the queue: append-only files, each a CBOR Sequence of records, as on the wire. A segment that was written
 * before this start is never written again, so what a crash left at its end stays apart from what comes after.
 */
export class SegmentLog implements AsyncDisposable {
  readonly #directory: string
  readonly #files: Files
  readonly #maxSegmentBytes: number
  readonly #segments = new Map<number, Segment>()
  #next = 1
  /** The segment that grows. */
  #active: number | undefined
  /** Whether the name of the segment that grows survives a power cut. */
  #isNamed = true
  #bytes = 0

  private constructor(directory: string, files: Files, maxSegmentBytes: number) {
    this.#directory = directory
    this.#files = files
    this.#maxSegmentBytes = maxSegmentBytes
  }

  /** Opens the log in a folder, which it makes. Bytes count against the queue's bound, dead ones too. */
  static async open(directory: string, files: Files, maxSegmentBytes: number): Promise<SegmentLog> {
    await files.makeDirectory(directory)
    const log = new SegmentLog(directory, files, maxSegmentBytes)
    for await (const entry of files.entries(directory)) {
      const match = /^(\d{8})\.logb$/.exec(Buffer.from(entry.name).toString())
      if (match) await log.#adopt(Number(match[1]))
    }
    return log
  }

  async #adopt(segment: number): Promise<void> {
    const file = await this.#files.openToRead(this.#path(segment))
    const { size } = await file.facts()
    this.#segments.set(segment, { file, end: size, live: 0 })
    this.#bytes += size
    this.#next = Math.max(this.#next, segment + 1)
  }

  /** On the disk, all segments together. */
  get bytes(): number {
    return this.#bytes
  }

  /** Oldest first. */
  get segments(): number[] {
    return [...this.#segments.keys()].toSorted((a, b) => a - b)
  }

  /**
   * Writes records behind what is there, retained for each. They survive a power cut only after `sync`. After a failure
   * nobody knows what the disk holds of them, so the segment is left as it is, and the next write begins another.
   */
  async append(records: readonly Uint8Array[]): Promise<Extent[]> {
    const { number, segment } = await this.#segmentWithRoom()
    const extents = layOut(number, segment.end, records)
    const start = segment.end
    const length = records.reduce((sum, record) => sum + record.length, 0)
    segment.live += records.length
    segment.end += length
    this.#bytes += length
    try {
      await segment.file.write(records, start)
    } catch (cause) {
      this.#giveUp(extents)
      throw cause
    }
    return extents
  }

  #giveUp(extents: readonly Extent[]): void {
    for (const { segment } of extents) this.release(segment)
    this.#active = undefined
  }

  async #segmentWithRoom(): Promise<{ readonly number: number; readonly segment: Segment }> {
    const active = this.#active === undefined ? undefined : this.#segments.get(this.#active)
    if (this.#active !== undefined && active && active.end < this.#maxSegmentBytes) {
      await this.#syncNames()
      return { number: this.#active, segment: active }
    }
    const number = this.#next++
    const segment = { file: await this.#files.create(this.#path(number)), end: 0, live: 0 }
    this.#segments.set(number, segment)
    this.#active = number
    this.#isNamed = false
    await this.#syncNames()
    return { number, segment }
  }

  async #syncNames(): Promise<void> {
    if (!this.#isNamed) await this.#files.syncDirectory(this.#directory)
    this.#isNamed = true
  }

  /** When it resolves, the records of this append survive a power cut; a failure takes the append back. */
  async sync(extents: readonly Extent[]): Promise<void> {
    try {
      for (const segment of new Set(extents.map((extent) => extent.segment))) {
        await this.#segments.get(segment)?.file.sync()
      }
    } catch (cause) {
      this.#giveUp(extents)
      throw cause
    }
  }

  /** Fills `into` from the extent; false where the file ends before. */
  async read(extent: Extent, into: Uint8Array): Promise<boolean> {
    const file = this.#segments.get(extent.segment)?.file
    if (!file) return false
    for (let done = 0; done < extent.length;) {
      const count = await file.read(into.subarray(done, extent.length), extent.offset + done)
      if (count === 0) return false
      done += count
    }
    return true
  }

  /** The whole segment. */
  async readWhole(segment: number): Promise<Uint8Array> {
    const length = this.#segments.get(segment)?.end ?? 0
    const bytes = Buffer.allocUnsafe(length)
    return (await this.read({ segment, offset: 0, length }, bytes)) ? bytes : bytes.subarray(0, 0)
  }

  /** The index needs one more record of this segment. */
  retain(segment: number): void {
    const known = this.#segments.get(segment)
    if (known) known.live++
  }

  /** The index has, durably, forgotten one. */
  release(segment: number): void {
    const known = this.#segments.get(segment)
    if (known) known.live--
  }

  /**
   * Unlinks the segments that nobody needs. Call it only after the index was synced. The one that grows stays, because a
   * quiet drone would else make and unlink a file for every line; `evenActive` is for when its room is needed.
   */
  async removeDead(evenActive: boolean): Promise<void> {
    for (const [number, segment] of this.#segments) {
      if (segment.live > 0 || (number === this.#active && !evenActive)) continue
      if (number === this.#active) this.#active = undefined
      // Taken out first: intake and outflow may both be here.
      this.#segments.delete(number)
      await this.#remove(number).catch((cause: unknown) => {
        this.#segments.set(number, segment)
        throw cause
      })
      this.#bytes -= segment.end
      await segment.file[Symbol.asyncDispose]()
    }
  }

  async #remove(segment: number): Promise<void> {
    try {
      await this.#files.remove(this.#path(segment))
    } catch (cause) {
      if (!isMissing(cause)) throw cause
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { file } of this.#segments.values()) await file[Symbol.asyncDispose]()
  }

  #path(segment: number): string {
    return `${this.#directory}/${segmentName(segment)}`
  }
}
