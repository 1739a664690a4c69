import type { Path, World } from '../world.ts'
import type { Follower } from './follower.ts'
import type { Generation } from './generation.ts'
import { isPartLeft } from './read-on.ts'
import { secondLookMs } from './second-look.ts'
import { sideBySide } from './side-by-side.ts'

const mostSideBySide = 4

/** What was seen of a file that is shorter than it was. */
interface Shorter {
  readonly path: Path
  /** The size that it had before, and whether that was of what came after the generation that is followed. */
  readonly than: number
  readonly isNext: boolean
}

/**
 * Files that are cut while their turn waits, as for room in the queue. Looks find out where such a generation ends, and name
 * what came after it and was cut, too, before anybody could read it.
 */
export class CutShort {
  readonly #follower: Pick<Follower, 'openFiles' | 'turns' | 'neverRead'>
  readonly #world: Pick<World, 'files' | 'clock'>
  readonly #shorter = new Map<Generation, Shorter>()

  constructor(
    follower: Pick<Follower, 'openFiles' | 'turns' | 'neverRead'>,
    world: Pick<World, 'files' | 'clock'>,
  ) {
    this.#follower = follower
    this.#world = world
  }

  /** A look saw the generation's file at this path with this size. */
  see(generation: Generation, path: Path, size: number): void {
    const { presentSize: than, endsAt } = generation
    if (size >= than) generation.sawSize(size)
    else this.#shorter.set(generation, { path, than, isNext: endsAt < Infinity })
  }

  /** To be called at the end of a look: a size that is smaller than it was counts once it was told twice. */
  async lookAgain(signal: AbortSignal): Promise<void> {
    const shorter = [...this.#shorter]
    this.#shorter.clear()
    if (shorter.length > 0) await this.#world.clock.sleep(secondLookMs, signal)
    if (!signal.aborted) await sideBySide(shorter, mostSideBySide, (each) => this.#lookAgainAt(...each))
    await this.#follower.neverRead.record()
  }

  async #lookAgainAt(generation: Generation, { path, than, isNext }: Shorter): Promise<void> {
    const facts = await this.#follower.openFiles.factsOf(generation).catch(() => undefined)
    if (!facts || facts.size >= than) return
    const isLeft = await this.#isPartLeft(generation, path, facts.size).catch(() => false)
    // It may have had its turn meanwhile, and seen for itself.
    if (generation.isOver) return
    if (!isNext && isLeft && generation.endsAt === Infinity) generation.proved(than)
    generation.endsAt = Math.min(generation.endsAt, isLeft ? facts.size : 0)
    generation.nextBytes = facts.size
    // A turn that was under way may have come to its end before it could know.
    this.#follower.turns.want(generation)
    if (isNext) await this.#follower.neverRead.add(generation, than)
  }

  async #isPartLeft(generation: Generation, path: Path, size: number): Promise<boolean> {
    const open = this.#follower.openFiles.peek(generation)
    if (open) return isPartLeft(generation, open, size)
    await using file = await this.#world.files.openToRead(path)
    return await isPartLeft(generation, file, size)
  }
}
