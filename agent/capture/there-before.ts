import { firstLookIsDue } from '../queue/notes.ts'
import { parseObject } from '../queue/resume-point.ts'
import type { Queue } from '../queue/queue.ts'
import { unlessDisk } from './disk-error.ts'
import { pathOfKey } from './find-files.ts'
import type { Round, Stranger } from './round.ts'

/** As a file stood there before the agent did. */
interface Before {
  readonly size: number
  readonly pathKey: string
}

/**
 * The files of which what stood in them at the first look is to be passed over: `startAt: end`. They are on the disk before
 * any of them is met, each until it is followed, so that old bytes are never new because of a kill in the midst of the first
 * look, or of a file that could not be opened then.
 */
export class ThereBefore {
  readonly #queue: Queue
  /** By identity; undefined until it is known which. */
  #files: Map<string, Before> | undefined
  #isSafe = false

  constructor(queue: Queue) {
    this.#queue = queue
  }

  /** Which they are is known, and on the disk, once this resolves. Where no look was noted they are those of this round. */
  async note({ strangers }: Round): Promise<void> {
    if (this.#isSafe) return
    const said = await this.#queue.recall('firstLook')
    const isDue = said === firstLookIsDue
    this.#files ??= isDue ? filesOf(strangers) : filesIn(said)
    if (isDue) await this.#store(this.#files)
    this.#isSafe = true
  }

  #store(files: ReadonlyMap<string, Before>): Promise<void> {
    return this.#queue.remember('firstLook', JSON.stringify(Object.fromEntries(files)))
  }

  /** What is to be passed over of the file: nothing where it was not there before, or was emptied meanwhile. */
  bytesIn(key: string, sizeNow: number): number {
    const { size = 0 } = this.#files?.get(key) ?? {}
    return size <= sizeNow ? size : 0
  }

  /** Keeps those that are there and that `isMet` does not know. */
  async forgetMet(round: Round, isMet: (key: string) => boolean): Promise<void> {
    const files = this.#files
    if (!files || files.size === 0) return
    const before = files.size
    for (const [key, { pathKey }] of files) {
      const isThere = round.seen.has(key) || round.isHidden(pathOfKey(pathKey))
      if (isMet(key) || !isThere) files.delete(key)
    }
    // What is on the disk else names files that are followed: they have resume points, which are asked first.
    if (files.size < before) await this.#store(files).catch(unlessDisk)
  }
}

function filesOf(strangers: readonly Stranger[]): Map<string, Before> {
  const passedOver = strangers.filter(({ found }) => found.source.startAt === 'end')
  return new Map(
    passedOver.map(({ key, facts: { size }, found: { pathKey } }) => [key, { size, pathKey }] as const),
  )
}

function filesIn(said = ''): Map<string, Before> {
  return new Map(Object.entries(parseObject(said)) as [string, Before][])
}
