import type { StreamId } from '../../protocol/ids.ts'
import type { SourceConfig } from '../source-config.ts'
import type { Recall } from '../deliver/recall.ts'
import { lanes, type Lane } from '../queue/lane.ts'
import type { Queue } from '../queue/queue.ts'
import { Doorbell } from '../doorbell.ts'
import { TaskGroup } from '../task-group.ts'
import type { World } from '../world.ts'
import { AfterBurst } from './after-burst.ts'
import { Attention } from './attention.ts'
import { ChunkBuffers } from './chunk-buffers.ts'
import type { ChunkLimits } from './chunker.ts'
import { Departed } from './departed.ts'
import { Endings } from './endings.ts'
import { FileSearch, pathKey } from './find-files.ts'
import { Finishing } from './finishing.ts'
import { Follower } from './follower.ts'
import type { Generation } from './generation.ts'
import { LeftBehind } from './left-behind.ts'
import { Lookout } from './lookout.ts'
import { OpenFiles, type HandleBounds } from './open-files.ts'
import { folderOf } from './places.ts'
import { Troubles } from './troubles.ts'
import { FolderWatch } from './watch.ts'

export interface CaptureOptions extends HandleBounds {
  readonly sources: readonly SourceConfig[]
  readonly chunks: ChunkLimits & { readonly maxAgeMs: number }
  /** The most that `chunks.catchUpBytes` ever comes to be, where it grows. */
  readonly bufferBytes?: number
  readonly rescanMs: number
  /** Asks the server what it has of files; without it nobody is asked. */
  readonly recall?: Recall
}

/** For each lane: enough that one chunk is read and encoded while another is on its way to the disk. */
const bufferCount = 2
/** Looking, when something is rearranged all the time, takes at most this part of it. */
const lookShare = 1 / 5
/** Between looks at files that no glob leads to, and that nobody tells of. */
const drainingMs = 1000

/** Everything that is captured: finds files, follows them, and knows how far each is. */
export class Capture {
  readonly #options: CaptureOptions
  readonly #world: World
  readonly #search: FileSearch
  readonly #attention: Attention
  readonly #tasks = new TaskGroup()
  readonly #openFiles: OpenFiles
  readonly #endings: Endings
  readonly #follower: Follower
  readonly #lookout: Lookout
  readonly #finishing: Finishing
  readonly #departed: Departed
  readonly #leftBehind: LeftBehind
  readonly #watch: FolderWatch
  readonly #afterBurst: AfterBurst
  /** What the last look could not look at. */
  readonly #troubles: Troubles
  #byPath: ReadonlyMap<string, Generation> = new Map()
  #looking: Promise<void> = Promise.resolve()
  /** Rung after each look, and when somebody waits for files to be closed. */
  readonly #looked = new Doorbell()

  constructor(options: CaptureOptions, queue: Queue, world: World, patience: AbortSignal) {
    this.#options = options
    this.#world = world
    const { clock } = world
    const { chunks, bufferBytes = chunks.catchUpBytes } = options
    const buffersOfLane = (): ChunkBuffers => new ChunkBuffers(bufferBytes, bufferCount, clock)
    const buffers = { high: buffersOfLane(), normal: buffersOfLane(), low: buffersOfLane() }
    const parts = { queue, clock, files: world.files, buffers, chunks, patience }
    const search = new FileSearch(options.sources, world.files)
    this.#search = search
    this.#openFiles = new OpenFiles(world.files, options)
    this.#endings = new Endings(parts, world.journal, this.#tasks)
    this.#follower = new Follower(parts, this.#openFiles, this.#endings, world, this.#tasks)
    this.#attention = new Attention((folder) => this.#watch.tellerOf(folder))
    this.#lookout = new Lookout(
      search,
      this.#attention,
      this.#follower,
      this.#endings,
      queue,
      world,
      options.recall,
    )
    this.#finishing = new Finishing(this.#follower, parts, world)
    const sourceOf = (path: Uint8Array): SourceConfig | undefined => search.sourceOf(path)
    this.#departed = new Departed(queue, world, sourceOf, this.#endings)
    this.#leftBehind = new LeftBehind(this.#follower, sourceOf, this.#endings, world)
    this.#troubles = new Troubles(world.journal)
    this.#afterBurst = new AfterBurst(this.#follower, queue, world)
    this.#watch = new FolderWatch(world, {
      changed: (path) => this.#changed(path),
      rearranged: (path) => this.#rearranged(path),
    })
  }

  get followed(): readonly Generation[] {
    return [...this.#follower.followed.values()]
  }

  /** What is configured for the file at this path. */
  sourceOf(path: Uint8Array): SourceConfig | undefined {
    return this.#search.sourceOf(path)
  }

  /** The generation that is followed in the file of this identity. */
  followedAs(key: string): Generation | undefined {
    return this.#follower.followed.get(key)
  }

  /** The generation that is followed in this stream, whatever the identity of its file is by now. */
  followedIn(stream: StreamId): Generation | undefined {
    return this.followed.find(({ label }) => label.stream === stream)
  }

  /** What keeps a file, or a folder, from being read, or its stream from ending, by pathKey. */
  get troubles(): ReadonlyMap<string, string> {
    const [found, finished] = [this.#troubles, this.#finishing.troubles]
    const [read, ended] = [this.#follower.troubles, this.#endings.troubles]
    const left = this.#leftBehind.troubles
    return new Map([...found.byPath, ...left.byPath, ...finished.byPath, ...read.byPath, ...ended.byPath])
  }

  /** Why some changes are found only by the rescan; undefined while all are told at once. */
  get watchTrouble(): string | undefined {
    return this.#watch.trouble
  }

  /** What ends a stream is on its way into the queue. */
  get isEndingStreams(): boolean {
    return this.#endings.areAnyUnderWay || this.#follower.neverRead.isAnyWaiting
  }

  /** Nothing that comes into the files from now on is read. */
  get isStopped(): boolean {
    return this.#tasks.signal.aborted
  }

  /** Captures until the signal fires; then what was read of every file is queued. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#tasks.stop()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    await using _open = this.#openFiles
    await this.#follower.recallVoid()
    this.#tasks.start((stop) => this.#follower.watchAges(stop))
    for (const lane of lanes) this.#tasks.start((stop) => this.#finishForEver(lane, stop))
    this.#tasks.start((stop) => this.#drainForEver(stop))
    {
      await using _watching = this.#watch
      await this.#lookForEver(this.#tasks.signal)
    }
    signal.removeEventListener('abort', stop)
    // One that a flush asked for may still be opening files.
    await this.#looking
    await this.#tasks.ended()
    await this.#follower.windUp()
  }

  async #lookForEver(signal: AbortSignal): Promise<void> {
    const { clock } = this.#world
    const { rearranged } = this.#follower
    while (!signal.aborted) {
      const seen = rearranged.rings
      const beganMs = clock.monotonicMs()
      await this.#lookNext(false)
      this.#looked.ring()
      this.#afterBurst.looked()
      const tookMs = clock.monotonicMs() - beganMs
      await clock.sleep(Math.min(tookMs * (1 / lookShare - 1), this.#options.rescanMs), signal)
      await rearranged.waitBeyond(seen, this.#options.rescanMs, clock, signal)
    }
  }

  /**
   * Looks for files now. When it resolves, every file that was there is followed, or named in `troubles`; without troubles, the end
   * of those that are gone, and were not read as far as is known, is on its way into the queue.
   */
  look(): Promise<void> {
    return this.#lookNext(true)
  }

  #lookNext(isThorough: boolean): Promise<void> {
    const look = this.#looking.then(() => this.#look(isThorough, this.#tasks.signal))
    this.#looking = look.catch(() => undefined)
    return look
  }

  async #look(isThorough: boolean, signal: AbortSignal): Promise<void> {
    const sight = await this.#lookout.look(isThorough, signal)
    if (!sight) return
    const { folders, troubled, unfollowed, byPath } = sight
    this.#follower.noteSizes()
    this.#byPath = byPath
    this.#troubles.replace(troubled)
    await this.#leftBehind.look(unfollowed, isThorough, signal)
    if (isThorough && troubled.size === 0) await this.#departed.settle(unfollowed)
    await this.#departed.look(unfollowed)
    if (!signal.aborted && (await this.#watch.keep(folders))) this.#follower.rearranged.ring()
  }

  async #finishForEver(lane: Lane, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const seen = this.#looked.rings
      await this.#finishing.finish(lane, signal)
      await this.#looked.waitBeyond(seen, Infinity, this.#world.clock, signal)
    }
  }

  async #drainForEver(signal: AbortSignal): Promise<void> {
    const { clock } = this.#world
    while (!signal.aborted) {
      const seen = this.#looked.rings
      if (await this.#lookout.lookAtDraining()) await clock.sleep(drainingMs, signal)
      else await this.#looked.waitBeyond(seen, Infinity, clock, signal)
    }
  }

  #changed(path: Uint8Array): void {
    const key = pathKey(path)
    const generation = this.#byPath.get(key)
    if (!generation && !this.#search.sourceOf(path)) return
    this.#attention.hear(key)
    if (generation) this.#follower.turns.want(generation)
    else this.#follower.rearranged.ring()
  }

  #rearranged(path: Uint8Array): void {
    const key = pathKey(path)
    this.#attention.hear(key)
    this.#attention.hear(pathKey(folderOf(path)))
    const generation = this.#byPath.get(key)
    if (generation) this.#follower.turns.want(generation)
    if (generation || this.#search.concerns(path)) this.#follower.rearranged.ring()
  }

  /** Has every followed file cut as far as it goes now, without waiting for a chunk's age, and what is finished closed. */
  cutNow(): readonly Generation[] {
    const files = this.followed
    for (const generation of files) {
      this.hurry(generation, generation.size)
      // A turn that it waits for may find that it changed.
      const isKnownClosed = generation.isClosedAsItStands && generation.turn === 'none'
      const isClosed = !generation.mayBeRewritten || isKnownClosed
      generation.closing = isClosed ? 'none' : 'asked'
    }
    return files
  }

  /** Has one file cut up to `size` without waiting. */
  hurry(generation: Generation, size: number): void {
    generation.flushTo = size
    if (generation.queuedTo < size) this.#follower.turns.want(generation)
  }

  /** Has the files that are there read again from their beginnings: the server has lost what it signed for. */
  beginAgain(): Promise<void> {
    return this.#follower.beginAgain()
  }

  /** Has the files that a flush waits for closed, as far as they were read, and those let go that cannot be read on. */
  closeNow(): void {
    this.#looked.ring()
  }
}
