import type { Files, OpenFile } from '../world.ts'
import { lanes, type Lane } from './lane.ts'

/** Where bytes stand in the log. */
export interface Extent {
  readonly segment: number
  readonly offset: number
  readonly length: number
}

/** A record that is to be written, and into which lane's segments. */
export interface LaneRecord {
  readonly lane: Lane
  readonly bytes: Uint8Array
}

/** "00000007.logb" and "00000008.low.logb": one count for all lanes, so a number names one segment. */
function segmentName(segment: number, lane: Lane): string {
  return `${String(segment).padStart(8, '0')}${lane === 'normal' ? '' : `.${lane}`}.logb`
}

function parseSegmentName(name: string): { readonly number: number; readonly lane: Lane } | undefined {
  const match = /^(\d{8})(?:\.(high|low))?\.logb$/.exec(name)
  const lane = lanes.find((known) => known === match?.[2]) ?? 'normal'
  return match ? { number: Number(match[1]), lane } : undefined
}

interface Segment {
  readonly lane: Lane
  readonly file: OpenFile
  /** Where the next bytes go. */
  end: number
  /** Records in it that the index still needs. */
  live: number
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

/**
 * The bytes of the queue: append-only files, each a CBOR Sequence of records, as on the wire, and for each lane a sequence of
 * its own. A segment that was written before this start is never written again, so what a crash left at its end stays apart
 * from what comes after.
 */
export class SegmentLog implements AsyncDisposable {
  readonly #directory: string
  readonly #files: Files
  readonly #maxSegmentBytes: number
  readonly #segments = new Map<number, Segment>()
  #next = 1
  /** The segment of each lane that grows. */
  readonly #active = new Map<Lane, number>()
  /** Holds the chain's last record. */
  #last: number | undefined
  /** Whether the names of the segments that grow survive a power cut. */
  #areNamed = true
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
      const named = parseSegmentName(Buffer.from(entry.name).toString())
      if (named) await log.#adopt(named.number, named.lane)
    }
    return log
  }

  async #adopt(segment: number, lane: Lane): Promise<void> {
    const file = await this.#files.openToRead(this.#path(segment, lane))
    const { size } = await file.facts()
    this.#segments.set(segment, { lane, file, end: size, live: 0 })
    this.#bytes += size
    this.#next = Math.max(this.#next, segment + 1)
  }

  /** On the disk, all segments together. */
  get bytes(): number {
    return this.#bytes
  }

  /** Each is held open. */
  get count(): number {
    return this.#segments.size
  }

  /** Oldest first. */
  get segments(): number[] {
    return [...this.#segments.keys()].toSorted((a, b) => a - b)
  }

  laneOf(segment: number): Lane {
    return this.#segments.get(segment)?.lane ?? 'normal'
  }

  /** Whether the next record of its lane may go into it. */
  isGrowing(segment: number): boolean {
    return this.#active.get(this.laneOf(segment)) === segment
  }

  /** Whether the index still needs a record of it. */
  isLive(segment: number): boolean {
    return (this.#segments.get(segment)?.live ?? 0) > 0
  }

  /** Segments of these numbers have been before: none that is made from now on is called so. */
  numberBehind(segment: number): void {
    this.#next = Math.max(this.#next, segment + 1)
  }

  /** The next record of its lane begins a segment, so that this one can go. */
  endGrowth(segment: number): void {
    if (this.isGrowing(segment)) this.#active.delete(this.laneOf(segment))
  }

  /**
   * Writes records behind what is there, retained for each, and gives their extents in the same order. They survive a power
   * cut only after `sync`. After a failure nobody knows what the disk holds of them, so the segments are left as they are,
   * and the next write begins others.
   */
  async append(records: readonly LaneRecord[]): Promise<Extent[]> {
    const extents: Extent[] = []
    try {
      for (const lane of lanes) {
        const mine = records.map((record, index) => ({ ...record, index })).filter((one) => one.lane === lane)
        if (mine.length > 0) await this.#appendTo(lane, mine, extents)
      }
    } catch (cause) {
      this.#giveUp(extents.filter((extent) => extent !== undefined))
      throw cause
    }
    return extents
  }

  /** Notes each extent at its record's index before anything is written. */
  async #appendTo(
    lane: Lane,
    records: readonly (LaneRecord & { readonly index: number })[],
    extents: Extent[],
  ): Promise<void> {
    const { number, segment } = await this.#segmentWithRoom(lane)
    const start = segment.end
    for (const { bytes, index } of records) {
      extents[index] = { segment: number, offset: segment.end, length: bytes.length }
      segment.live++
      segment.end += bytes.length
      this.#bytes += bytes.length
    }
    await segment.file.write(
      records.map(({ bytes }) => bytes),
      start,
    )
  }

  #giveUp(extents: readonly Extent[]): void {
    for (const { segment } of extents) {
      this.release(segment)
      this.endGrowth(segment)
    }
  }

  async #segmentWithRoom(lane: Lane): Promise<{ readonly number: number; readonly segment: Segment }> {
    const active = this.#active.get(lane)
    const growing = active === undefined ? undefined : this.#segments.get(active)
    if (active !== undefined && growing && growing.end < this.#maxSegmentBytes) {
      await this.#syncNames()
      return { number: active, segment: growing }
    }
    const number = this.#next++
    const segment = { lane, file: await this.#files.create(this.#path(number, lane)), end: 0, live: 0 }
    this.#segments.set(number, segment)
    this.#active.set(lane, number)
    this.#areNamed = false
    await this.#syncNames()
    return { number, segment }
  }

  async #syncNames(): Promise<void> {
    if (!this.#areNamed) await this.#files.syncDirectory(this.#directory)
    this.#areNamed = true
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

  /** This segment holds the chain's last record: it stays, as a proof of how far the chain goes. */
  holdLast(segment: number): void {
    this.#last = segment
  }

  /**
   * Unlinks the segments that nobody needs. Call it only after the index was synced. Those that grow stay, because a quiet
   * drone would else make and unlink a file for every line, and so does the one with the chain's last record.
   */
  async removeDead(): Promise<void> {
    for (const [number, segment] of this.#segments) {
      if (segment.live > 0 || number === this.#last || this.isGrowing(number)) continue
      await this.#remove(number, segment)
    }
  }

  /** Unlinks those too, because their room is needed. `beforeLast` must note durably how far the chain goes. */
  async removeAllDead(beforeLast: () => Promise<void>): Promise<void> {
    for (const [number, segment] of this.#segments) {
      if (segment.live > 0) continue
      if (number === this.#last) await beforeLast()
      this.endGrowth(number)
      await this.#remove(number, segment)
    }
  }

  async #remove(number: number, segment: Segment): Promise<void> {
    // Taken out first: intake and outflow may both be here.
    this.#segments.delete(number)
    await this.#unlink(this.#path(number, segment.lane)).catch((cause: unknown) => {
      this.#segments.set(number, segment)
      throw cause
    })
    this.#bytes -= segment.end
    await segment.file[Symbol.asyncDispose]()
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.#files.remove(path)
    } catch (cause) {
      if (!isMissing(cause)) throw cause
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { file } of this.#segments.values()) await file[Symbol.asyncDispose]()
  }

  #path(segment: number, lane: Lane): string {
    return `${this.#directory}/${segmentName(segment, lane)}`
  }
}
