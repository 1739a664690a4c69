import type { StreamId } from '../../protocol/ids.ts'
import { showLogPath } from '../../protocol/log-path.ts'
import { Doorbell } from '../doorbell.ts'
import { lanes } from '../queue/lane.ts'
import { sayCause } from '../say-cause.ts'
import type { TaskGroup } from '../task-group.ts'
import type { OpenFile, World } from '../world.ts'
import { Aging } from './aging.ts'
import { beginStream } from './begin-stream.ts'
import { endStream, type Ended } from './ending.ts'
import type { Endings } from './endings.ts'
import { FileTroubles } from './file-troubles.ts'
import { Generation } from './generation.ts'
import { readLast } from './last-read.ts'
import { NeverRead } from './never-read.ts'
import type { OpenFiles } from './open-files.ts'
import { isBeyondDoubt } from './read-on.ts'
import { cutDue, shipAll, takeTurn, type CaptureParts, type OverReason, type TurnEnd } from './take-turn.ts'
import { Turns } from './turns.ts'

/** Of one lane. Each waits for the disk most of the time; what they read goes through a few shared buffers. */
const mostTurnsAtOnce = 32
/** Uncut bytes in memory, in chunks. */
const uncutChunks = 8

/** Follows every file generation that was found: lets it take turns until nothing more can be read of it. */
export class Follower {
  readonly turns: Turns
  readonly openFiles: OpenFiles
  /** What kept a file from being read at its last turn. */
  readonly troubles: FileTroubles
  readonly neverRead: NeverRead
  /** Rung when a generation is over, so that what follows it may be found. */
  readonly rearranged = new Doorbell()
  readonly #parts: CaptureParts
  readonly #world: World
  readonly #endings: Endings
  readonly #aging: Aging
  /** By identity: the same file under two names is followed once. */
  readonly #followed = new Map<string, Generation>()
  #changes = 0
  /** Streams whose file is to be read again from its beginning, in a new one, when it has its turn. */
  readonly #void = new Set<StreamId>()

  constructor(parts: CaptureParts, openFiles: OpenFiles, endings: Endings, world: World, tasks: TaskGroup) {
    this.#parts = parts
    this.#world = world
    this.#endings = endings
    this.openFiles = openFiles
    this.troubles = new FileTroubles(world.journal)
    this.neverRead = new NeverRead(endings, world.chance)
    const most = (): number => this.#mostTurnsAtOnce
    this.turns = new Turns(most, tasks, (generation, signal) => this.#take(generation, signal))
    const want = (generation: Generation): void => this.turns.want(generation, true)
    this.#aging = new Aging(uncutChunks * parts.chunks.maxBytes, world.clock, want)
  }

  /** A file that is read cannot be closed for another: all lanes together leave some that can. */
  get #mostTurnsAtOnce(): number {
    const share = Math.floor(this.openFiles.most / (lanes.length + 1))
    return Math.min(mostTurnsAtOnce, Math.max(1, share))
  }

  get followed(): ReadonlyMap<string, Generation> {
    return this.#followed
  }

  /** How often it changed who is followed. */
  get changes(): number {
    return this.#changes
  }

  /** From now on it takes its turns, the first one where anything is to be read; its resume point is stored. */
  follow(generation: Generation): void {
    const { label, readTo, size } = generation
    this.#followed.set(generation.key, generation)
    this.#changes++
    this.#world.journal.streamStarted(showLogPath(label.path), label.stream, readTo)
    if (readTo < size || this.#void.has(label.stream)) this.turns.want(generation)
  }

  /**
   * Has every file of which anything is known, and which is there or comes back, read again as a new stream. Once this
   * resolves, a restart changes nothing about it.
   */
  async beginAgain(): Promise<void> {
    const { queue } = this.#parts
    const streams = [...queue.resumePoints.keys()]
    await queue.remember('void', JSON.stringify(streams))
    for (const stream of streams) this.#void.add(stream)
    for (const generation of this.#followed.values()) this.turns.want(generation)
  }

  /** What the last life was to begin again. The streams that it did end are in nobody's way: none is ever the same. */
  async recallVoid(): Promise<void> {
    const { queue } = this.#parts
    const said = await queue.recall('void')
    for (const stream of said === undefined ? [] : (JSON.parse(said) as StreamId[]))
      if (queue.resumePoints.has(stream)) this.#void.add(stream)
  }

  /** Has what was read cut when it is old enough. */
  watchAges(signal: AbortSignal): Promise<void> {
    return this.#aging.run(signal)
  }

  /** Whether the file goes on with its next turn. */
  async #take(generation: Generation, signal: AbortSignal): Promise<boolean> {
    const before = generation.cutTo
    try {
      if (generation.isOnlyDue && !this.openFiles.peek(generation)) {
        await cutDue(generation, this.#parts)
        return false
      }
      const file = await this.openFiles.borrow(generation)
      const over = file && (await this.#whyOver(generation, file))
      const end: TurnEnd = over
        ? { is: 'over', why: over }
        : await takeTurn(generation, file, this.#parts, signal)
      return await this.#after(generation, end)
    } catch (cause) {
      // What is on its way arrives first. The next look, one rescan from now, gives it another turn.
      await generation.shipping?.done().catch(() => undefined)
      this.troubles.add(generation, sayCause(cause))
      generation.restart()
      if (generation.isListed) await this.openFiles.close(generation)
      return false
    } finally {
      this.#aging.note(generation, generation.cutTo > before)
    }
  }

  /** Why it is not to be read on before anything of it is; undefined where it is. */
  async #whyOver(generation: Generation, file: OpenFile): Promise<OverReason | undefined> {
    if (this.#void.has(generation.label.stream)) return 'receiptsLost'
    if (await isBeyondDoubt(generation, file)) return undefined
    return (await file.facts()).size < generation.size ? 'truncated' : 'overwritten'
  }

  async #after(generation: Generation, end: TurnEnd): Promise<boolean> {
    if (end.is === 'unreadable') this.troubles.add(generation, sayCause(end.cause))
    else this.troubles.remove(generation)
    if (end.is === 'over') await this.#renew(generation, end.why)
    return end.is === 'more'
  }

  /** What stands in the file now is another generation. It is read at once, and shipped when the end of the old one is safe. */
  async #renew(old: Generation, why: OverReason): Promise<void> {
    const { pathKey, place, source, isListed, resume: ending } = old
    const file = this.openFiles.peek(old)
    if (!file) throw new Error('its file was closed while it was read')
    const at = { pathKey, place, identity: ending.identity }
    const begun = await beginStream(at, file, 0, this.#world.chance)
    const facts = await file.facts()
    // What came before is still ending: the stream that waits for that is as good for what stands there now.
    const isUnbegun = old.stored !== undefined && old.readTo === 0 && why !== 'receiptsLost'
    const resume = isUnbegun ? ending : begun
    const next = new Generation(resume, source, { pathKey, place, facts }, this.#world.clock.monotonicMs())
    next.isListed = isListed
    // A look may have seen it larger than it is now.
    next.sawSize(old.nextBytes)
    next.proved(old.nextBytes)
    this.#void.delete(ending.stream)
    if (isUnbegun) this.#endings.passOn(old, next)
    else this.#endings.replace(ending.stream, () => this.#lastOf(old, why), next)
    this.openFiles.pass(old, next)
    this.#forget(old)
    this.follow(next)
    this.turns.want(next)
    if (isUnbegun) await this.neverRead.add(old, old.seenBytes)
  }

  /** How it ends, once all of it that was read is in the queue. */
  async #lastOf(generation: Generation, why: OverReason): Promise<Ended | undefined> {
    if ((await generation.stored) === false) return undefined
    await generation.shipping?.done()
    return endedAs(generation, why)
  }

  #forget(generation: Generation): void {
    generation.isOver = true
    generation.dropChunker()
    this.#followed.delete(generation.key)
    this.#changes++
    this.troubles.remove(generation)
    this.rearranged.ring()
  }

  /** Nothing leads to the file any more: what is known to be unread of it is lost, or it may come back later. */
  async letGo(generation: Generation, isDeleted: boolean): Promise<void> {
    const { queue, patience } = this.#parts
    const { journal } = this.#world
    if (isDeleted && !(await endStream(endedAs(generation, 'deleted'), queue, journal, patience))) return
    const { label, resume } = generation
    if (!isDeleted) {
      await queue.setResumePoint(generation.pointAt(resume.position, resume.evidence))
      journal.streamEnded(showLogPath(label.path), label.stream, 'gone')
    }
    this.#forget(generation)
    await this.openFiles.close(generation)
  }

  /** Its file was found under another identity, where it is read on behind what is queued. False while that cannot be. */
  async handOver(generation: Generation): Promise<boolean> {
    const isUnderWay = generation.stored !== undefined || generation.queuedTo < generation.cutTo
    if (isUnderWay || !this.turns.hold(generation)) return false
    try {
      await this.letGo(generation, false)
      return true
    } finally {
      this.turns.release(generation)
    }
  }

  /** Has the queue remember how large files are that wait for room in it. */
  noteSizes(): void {
    const { queue } = this.#parts
    if (queue.state.is === 'open') return
    for (const { label, seenBytes, queuedTo } of this.#followed.values())
      if (seenBytes > queuedTo) queue.sawSize(label.stream, seenBytes)
  }

  /** When no file has turns any more: queues what was read, and what nobody would find again, and remembers what was seen. */
  async windUp(): Promise<void> {
    const followed = [...this.#followed.values()]
    for (const generation of followed) await readLast(generation, this.openFiles, this.#parts)
    await Promise.all(followed.map((generation) => shipAll(generation, this.#parts)))
    // Of two points in one file the next life would know only one: what was before must have ended.
    const seen = followed.filter((generation) => generation.stored === undefined && isNews(generation))
    const points = seen.map((generation) =>
      generation.pointAt(generation.resume.position, generation.resume.evidence),
    )
    // A disk that refuses keeps the agent from nothing but this.
    if (points.length > 0) await this.#parts.queue.setResumePoints(points).catch(() => undefined)
  }
}

/** Something was seen of it that its resume point does not say. */
function isNews({ seenBytes, heldAt, resume }: Generation): boolean {
  const { position, seenBytes: known = 0, changedNs } = resume
  return seenBytes > Math.max(known, position) || (position > 0 && heldAt !== changedNs)
}

function endedAs(generation: Generation, why: Ended['why']): Ended {
  const { label, source, resume } = generation
  return { label, lane: source.priority, point: generation.pointAt(resume.position, resume.evidence), why }
}
