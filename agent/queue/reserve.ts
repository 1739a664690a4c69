import { letGo } from '../let-go.ts'
import type { World } from '../world.ts'

const mib = 1024 * 1024
/** LevelDB writes a table of its log to open, and another one to forget; a group of records may be under way just then. */
const leastBytes = 8 * mib
/** Opened, LevelDB merges tables: of the two first levels 22 MiB at most. */
const mostBytes = 32 * mib
const pieceBytes = mib
/** Of the disk, at most: on a small one the queue comes first. */
const shareOfDisk = 1 / 8
/** A start has other things to write first. */
const settledMs = 60_000
/** With so many times its size free, and no more, the disk may be full before that. */
const scarce = 8
/** A disk that refuses though it says that it has room, as for a quota, is not worn out by trying. */
const tryAgainMs = 60_000

/** How large the reserve of a queue of this bound is: more may wait in it in small records, and its index be larger. */
export function reserveBytesOf(maxBytes: number): number {
  return Math.min(mostBytes, Math.max(leastBytes, Math.ceil(maxBytes / 8)))
}

/**
 * A file whose room is the index's: it is given up when the disk is full, so that what waits can still be delivered and forgotten,
 * which frees more. While it is not there, its room is kept free of records.
 */
export class Reserve {
  readonly #directory: string
  readonly #bytes: number
  readonly #world: World
  readonly #foundMs: number
  #isThere: boolean
  #refusal: { readonly cause: unknown; readonly atMs: number } | undefined

  private constructor(directory: string, bytes: number, world: World, isThere: boolean) {
    this.#directory = directory
    this.#bytes = bytes
    this.#world = world
    this.#foundMs = world.clock.monotonicMs()
    this.#isThere = isThere
  }

  /** The one in a state folder, made or not, of so many bytes or what its disk allows. One of 0 bytes is none, and never missing. */
  static async find(directory: string, mostOfIt: number, world: World): Promise<Reserve> {
    const diskBytes = mostOfIt === 0 ? 0 : await world.files.diskBytes(directory)
    const bytes = Math.min(mostOfIt, Math.floor(diskBytes * shareOfDisk))
    const size = await world.files.facts(pathIn(directory)).then(
      (facts) => facts.size,
      () => 0,
    )
    return new Reserve(directory, bytes, world, size >= bytes)
  }

  /** What making it takes. */
  get missingBytes(): number {
    return this.#isThere ? 0 : this.#bytes
  }

  /** Whether it is missing and to be made now, where so much would stay free beside it. */
  isDue(freeBytes: number): boolean {
    if (this.missingBytes === 0) return false
    const ageMs = this.#world.clock.monotonicMs() - this.#foundMs
    return ageMs >= settledMs || freeBytes < scarce * this.#bytes
  }

  /** Makes it, of bytes that no file system can leave out. Throws where the disk refuses, and then for a while. */
  async make(): Promise<void> {
    const nowMs = this.#world.clock.monotonicMs()
    if (this.#refusal && nowMs - this.#refusal.atMs < tryAgainMs) throw this.#refusal.cause
    try {
      await this.#write()
    } catch (cause) {
      this.#refusal = { cause, atMs: nowMs }
      await this.#remove()
      throw cause
    }
    this.#refusal = undefined
    this.#isThere = true
  }

  async #write(): Promise<void> {
    const { files, chance } = this.#world
    // Half of one, as a crash leaves it.
    await this.#remove()
    await using file = await files.create(pathIn(this.#directory))
    for (let done = 0; done < this.#bytes; done += pieceBytes) {
      const piece = chance.bytes(Math.min(pieceBytes, this.#bytes - done))
      await file.write([piece], done)
      letGo(piece)
    }
    await file.sync()
  }

  /** Gives its room away; false where it is not there. It is missing from then on. */
  async giveUp(): Promise<boolean> {
    if (!this.#isThere || !(await this.#remove())) return false
    this.#isThere = false
    // A file system with a journal hands out what is free only once that is in it.
    await this.#world.files.syncDirectory(this.#directory).catch(() => undefined)
    this.#world.journal.reserveGivenUp(this.#bytes)
    return true
  }

  #remove(): Promise<boolean> {
    return this.#world.files.remove(pathIn(this.#directory)).then(
      () => true,
      () => false,
    )
  }
}

const pathIn = (directory: string): string => `${directory}/reserve`
