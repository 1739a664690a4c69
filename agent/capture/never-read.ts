import { unknownIdentity } from '../queue/resume-point.ts'
import type { Chance } from '../world.ts'
import { beginStream } from './begin-stream.ts'
import type { Endings } from './endings.ts'
import type { Generation } from './generation.ts'

/** Ends of streams that wait for room at once; of what is cut in a file meanwhile, one record has all lengths together. */
const mostWaiting = 64

/** What stood in a file and was cut. */
interface Cut {
  readonly generation: Generation
  bytes: number
}

/** Generations that were seen, and cut before a byte of them was read: each has a stream, and in it nothing but a loss record. */
export class NeverRead {
  readonly #endings: Endings
  readonly #chance: Chance
  /** By pathKey: nobody was asked yet to record it. */
  readonly #cuts = new Map<string, Cut>()

  constructor(endings: Endings, chance: Chance) {
    this.#endings = endings
    this.#chance = chance
  }

  get isAnyWaiting(): boolean {
    return this.#cuts.size > 0
  }

  /** So many bytes stood in the generation's file, in this generation or in one after it. */
  async add(generation: Generation, bytes: number): Promise<void> {
    const cut = this.#cuts.get(generation.pathKey)
    if (cut) cut.bytes += bytes
    else if (bytes > 0) this.#cuts.set(generation.pathKey, { generation, bytes })
    await this.record()
  }

  /** Has recorded what could not be before; to be called now and then. */
  async record(): Promise<void> {
    for (const [key, cut] of this.#cuts) {
      if (this.#endings.underWay >= mostWaiting) return
      this.#cuts.delete(key)
      await this.#end(cut)
    }
  }

  /** No file is its own: in the one in which it stood is another generation. */
  async #end({ generation, bytes }: Cut): Promise<void> {
    const { pathKey, place, source } = generation
    const at = { pathKey, place, identity: unknownIdentity }
    const begun = await beginStream(at, undefined, 0, this.#chance)
    const label = { stream: begun.stream, path: begun.path, tags: source.tags }
    const point = { ...begun, seenBytes: bytes }
    this.#endings.endUnread({ label, lane: source.priority, point, why: 'truncated' })
  }
}
