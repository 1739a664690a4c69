import { logPathToBytes } from '../../protocol/log-path.ts'
import type { FileFacts, Files, OpenFile, Path } from '../world.ts'
import { unlessDisk } from './disk-error.ts'
import type { Generation } from './generation.ts'
import { identityKey, identityOf } from './identity.ts'

export interface HandleBounds {
  /** How many log files may be held open at the moment. */
  readonly maxOpenFiles: number
}

/**
 * The log files that are held open, so that one that is renamed or deleted is still read to its end. Never more than a set
 * number, but for those that nothing leads to any more; of the others the one that was not read for longest is closed.
 */
export class OpenFiles implements AsyncDisposable {
  readonly #files: Files
  readonly #bounds: HandleBounds
  /** The one that was not used for longest first. */
  readonly #open = new Map<Generation, OpenFile>()

  constructor(files: Files, bounds: HandleBounds) {
    this.#files = files
    this.#bounds = bounds
  }

  get most(): number {
    return this.#bounds.maxOpenFiles
  }

  /** For one more another would be closed. */
  get areAllTaken(): boolean {
    return this.#open.size >= this.most
  }

  /** The generation's file; undefined where its path, or place, leads to another one by now. Throws where it cannot be opened. */
  async borrow(generation: Generation): Promise<OpenFile | undefined> {
    const file = this.#open.get(generation)
    if (!file) return this.#openAgain(generation)
    this.#open.delete(generation)
    this.#open.set(generation, file)
    // What may be open shrinks when the queue needs more.
    await this.#closeDownTo(this.most)
    return file
  }

  /** Its file if it is open now. */
  peek(generation: Generation): OpenFile | undefined {
    return this.#open.get(generation)
  }

  async #openAgain(generation: Generation): Promise<OpenFile | undefined> {
    await this.#closeDownTo(this.most - 1)
    const file = await this.open(whereToOpen(generation)).catch(unlessGone)
    if (!file) return undefined
    await using unkept = new AsyncDisposableStack()
    unkept.defer(() => closeRead(file))
    const facts = await file.facts()
    const isSame = isIts(facts, generation)
    generation.isAtPlace = isSame && !generation.isListed
    // While nobody had it open, its inode was free to become another file's.
    if (facts.birthNs === 0n && generation.doubt === 'none') generation.doubt = 'end'
    if (!isSame) return undefined
    unkept.move()
    await this.keep(generation, file)
    return file
  }

  /** What its handle says of it, or the path at which it can be opened; undefined where that leads to another file, or none. */
  async factsOf(generation: Generation): Promise<FileFacts | undefined> {
    const file = this.#open.get(generation)
    if (file) return file.facts()
    const facts = await this.#files.facts(whereToOpen(generation)).catch(unlessGone)
    return facts && isIts(facts, generation) ? facts : undefined
  }

  /** Opens a file; when the process or the system has no more handles, others are closed for it. */
  async open(path: Path): Promise<OpenFile> {
    try {
      return await this.#files.openToRead(path)
    } catch (cause) {
      if (!isOutOfHandles(cause) || !(await this.#closeDownTo(Math.floor(this.#open.size / 2)))) throw cause
      return await this.#files.openToRead(path)
    }
  }

  /** From now on the file is owned here. */
  async keep(generation: Generation, file: OpenFile): Promise<void> {
    this.#open.set(generation, file)
    await this.#closeDownTo(this.most)
  }

  async close(generation: Generation): Promise<void> {
    const file = this.#open.get(generation)
    this.#open.delete(generation)
    if (file) await closeRead(file)
  }

  /** Hands a file on to the generation that follows in the same file. */
  pass(from: Generation, to: Generation): void {
    const file = this.#open.get(from)
    this.#open.delete(from)
    if (file) this.#open.set(to, file)
  }

  /** Whether any could be closed. Those that were read to their end go first. */
  async #closeDownTo(count: number): Promise<boolean> {
    let closed = 0
    for (let spare = this.#nextSpare(count); spare; spare = this.#nextSpare(count)) {
      await this.close(spare)
      closed++
    }
    return closed > 0
  }

  /** The next to be closed while more than `count` are open. */
  #nextSpare(count: number): Generation | undefined {
    if (this.#open.size <= count) return undefined
    let unread: Generation | undefined
    for (const generation of this.#open.keys()) {
      if (!canBeOpenedAgain(generation)) continue
      if (isAtEnd(generation)) return generation
      unread ??= generation
    }
    return unread
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const generation of this.#open.keys()) await this.close(generation)
  }
}

/** A disk that refuses to close what was only read takes nothing with it, and the handle is gone all the same (close(2)). */
async function closeRead(file: OpenFile): Promise<void> {
  try {
    await file[Symbol.asyncDispose]()
  } catch (cause) {
    unlessDisk(cause)
  }
}

function canBeOpenedAgain({ isListed, isAtPlace, endsAt, turn }: Generation): boolean {
  return (isListed || isAtPlace) && endsAt === Infinity && turn !== 'taken'
}

/** No glob may lead to it, and its own place all the same: a link was set to another file. */
function whereToOpen({ isListed, path, place }: Generation): Uint8Array {
  return isListed ? path : logPathToBytes(place.path)
}

function isIts(facts: FileFacts, { key }: Generation): boolean {
  return identityKey(identityOf(facts)) === key
}

function isAtEnd({ readTo, size }: Generation): boolean {
  return readTo >= size
}

function isOutOfHandles(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'EMFILE' || cause.code === 'ENFILE')
}

/** Between finding a file and opening it, it may be renamed or deleted. */
function unlessGone(cause: unknown): undefined {
  if (!isGone(cause)) throw cause
}

/** Whether an error says that nothing is at this path (any more). */
export function isGone(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')
}
