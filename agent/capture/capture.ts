import { streamIdBytes, streamIdFrom, type ByteOffset } from '../../protocol/ids.ts'
import { logPathFromBytes, showLogPath } from '../../protocol/log-path.ts'
import type { SourceConfig } from '../config.ts'
import { Doorbell } from '../doorbell.ts'
import type { Queue } from '../queue/queue.ts'
import type { FileIdentity, ResumePoint } from '../queue/resume-point.ts'
import { sayCause } from '../say-cause.ts'
import { TaskGroup } from '../task-group.ts'
import type { FileFacts, OpenFile, World } from '../world.ts'
import { captureFile, FileProgress, type CaptureParts, type Ending } from './capture-file.ts'
import { ChunkBuffers } from './chunk-buffers.ts'
import { stillHolds } from '../queue/evidence.ts'
import { FileSearch, pathKey, pathOfKey, type FoundFile } from './find-files.ts'
import { watchFolders } from './watch.ts'

export interface CaptureOptions {
  readonly sources: readonly SourceConfig[]
  readonly chunks: { readonly maxBytes: number; readonly maxAgeMs: number }
  readonly rescanMs: number
  readonly lingerMs: number
}

/** Enough that one chunk is read while another is encoded and a third is on its way to the disk. */
const bufferCount = 3

/** Everything that is captured: finds files, follows each in a task of its own, and knows how far each is. */
export class Capture {
  readonly #options: CaptureOptions
  readonly #queue: Queue
  readonly #world: World
  readonly #parts: CaptureParts
  readonly #search: FileSearch
  readonly #tasks = new TaskGroup()
  #looking: Promise<void> = Promise.resolve()
  /** Rung when files may have come, gone or been renamed. */
  readonly #rearranged = new Doorbell()
  /** By identity: the same file under two names is followed once. */
  readonly #followed = new Map<string, FileProgress>()
  /** By pathKey: what keeps a file, or a folder, from being read. */
  readonly #troubles = new Map<string, string>()

  constructor(options: CaptureOptions, queue: Queue, world: World, patience: AbortSignal) {
    this.#options = options
    this.#queue = queue
    this.#world = world
    this.#search = new FileSearch(options.sources, world.files)
    const buffers = new ChunkBuffers(options.chunks.maxBytes, bufferCount, world.clock)
    this.#parts = { queue, clock: world.clock, buffers, lingerMs: options.lingerMs, patience }
  }

  get followed(): readonly FileProgress[] {
    return [...this.#followed.values()]
  }

  /** What keeps a file, or a folder, from being read, by pathKey. */
  get troubles(): ReadonlyMap<string, string> {
    return this.#troubles
  }

  /** Nothing that comes into the files from now on is read. */
  get isStopped(): boolean {
    return this.#tasks.signal.aborted
  }

  /** Captures until the signal fires; then every file's last chunk is queued. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#tasks.stop()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    {
      await using _watching = watchFolders(this.#search, {
        changed: (path) => this.#ring(path),
        rearranged: () => this.#rearranged.ring(),
        trouble: (cause) => this.#world.journal.watchTrouble(sayCause(cause)),
      })
      await this.#lookForEver(this.#tasks.signal)
    }
    signal.removeEventListener('abort', stop)
    await this.#tasks.ended()
  }

  async #lookForEver(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const seen = this.#rearranged.rings
      await this.look()
      await this.#rearranged.waitBeyond(seen, this.#options.rescanMs, this.#world.clock, signal)
    }
  }

  /** Looks for files now. When it resolves, every file that was there is followed, or named in `troubles`. */
  look(): Promise<void> {
    const look = this.#looking.then(() => this.#look())
    this.#looking = look.catch(() => undefined)
    return look
  }

  /** Has every followed file cut as far as it goes now, without waiting for a chunk's age. */
  async cutNow(): Promise<readonly FileProgress[]> {
    const files = this.followed
    for (const progress of files) {
      // A file that is being let go has been read as far as it ever will be.
      const { size } = await progress.file.facts().catch(() => progress)
      progress.size = Math.max(progress.size, size)
      progress.flushTo = size
      progress.bell.ring()
    }
    return files
  }

  #ring(path: string): void {
    const key = pathKey(Buffer.from(path))
    for (const progress of this.#followed.values()) if (pathKey(progress.path) === key) progress.bell.ring()
  }

  async #look(): Promise<void> {
    const listed = new Set<string>()
    const troubled = new Map<string, string>()
    const trouble = (path: Uint8Array, cause: unknown): void =>
      void troubled.set(pathKey(path), sayCause(cause))
    for await (const found of this.#search.find(trouble)) {
      if (this.#tasks.signal.aborted) return
      try {
        const identity = await this.#notice(found)
        if (identity) listed.add(identity)
      } catch (cause) {
        if (!isGone(cause)) trouble(found.path, cause)
      }
    }
    this.#unlist(listed)
    this.#tellTroubles(troubled)
  }

  /** Follows the file if nobody does yet. Gives its identity, if it is a file at all. */
  async #notice(found: FoundFile): Promise<string | undefined> {
    const facts = await this.#world.files.facts(found.path)
    if (!facts.isFile) return undefined
    const key = identityKey(identityOf(facts))
    const progress = this.#followed.get(key)
    if (progress) this.#noticeAgain(progress, found, facts)
    else await this.#follow(found)
    return key
  }

  #noticeAgain(progress: FileProgress, found: FoundFile, facts: FileFacts): void {
    progress.path = found.path
    progress.isListed = true
    if (facts.size !== progress.readTo) progress.bell.ring()
  }

  #unlist(listed: ReadonlySet<string>): void {
    for (const [key, progress] of this.#followed) {
      if (listed.has(key) || !progress.isListed) continue
      progress.isListed = false
      progress.bell.ring()
    }
  }

  #tellTroubles(troubled: ReadonlyMap<string, string>): void {
    for (const [key, why] of troubled) {
      if (this.#troubles.get(key) !== why) this.#world.journal.fileTrouble(showKey(key), why)
    }
    for (const key of this.#troubles.keys()) {
      if (!troubled.has(key)) this.#world.journal.fileRecovered(showKey(key))
    }
    this.#troubles.clear()
    for (const [key, why] of troubled) this.#troubles.set(key, why)
  }

  async #follow(found: FoundFile): Promise<void> {
    const file = await this.#world.files.openToRead(found.path)
    try {
      const facts = await file.facts()
      const identity = identityOf(facts)
      // Between the look at the path and its opening, a link may have been set to another file.
      if (!facts.isFile || this.#followed.has(identityKey(identity))) return await file[Symbol.asyncDispose]()
      const resume = (await this.#resumePoint(file, facts, identity)) ?? (await this.#begin(found, identity))
      const { stream, path } = resume
      const label = { stream, path, tags: found.source.tags }
      const progress = new FileProgress(label, file, found.path, resume.position, facts.size)
      this.#followed.set(identityKey(identity), progress)
      this.#world.journal.streamStarted(showLogPath(path), stream, resume.position)
      this.#tasks.start((signal) => this.#captureToEnd(resume, progress, found.source, signal))
    } catch (cause) {
      await file[Symbol.asyncDispose]()
      throw cause
    }
  }

  /** Where an earlier run stopped, if this still is the file that it read. */
  async #resumePoint(
    file: OpenFile,
    facts: FileFacts,
    identity: FileIdentity,
  ): Promise<ResumePoint | undefined> {
    for (const point of this.#queue.resumePoints.values()) {
      const isSame = identityKey(point.identity) === identityKey(identity)
      if (isSame && point.position <= facts.size && (await stillHolds(file, point.evidence))) return point
    }
    return undefined
  }

  /** A new stream. Its resume point is stored before its first record, so that every record's stream is known. */
  async #begin(found: FoundFile, identity: FileIdentity): Promise<ResumePoint> {
    const stream = streamIdFrom(this.#world.chance.bytes(streamIdBytes))
    const path = logPathFromBytes(found.path)
    if (stream === undefined || path === undefined)
      throw new Error('its path is too long to be named in a record')
    const point = { stream, path, identity, position: 0 as ByteOffset, evidence: [] }
    await this.#queue.setResumePoint(point)
    return point
  }

  async #captureToEnd(
    resume: ResumePoint,
    progress: FileProgress,
    source: SourceConfig,
    signal: AbortSignal,
  ): Promise<void> {
    const rules = { ...this.#options.chunks, format: source.format }
    try {
      await using _open = progress.file
      const ending = await captureFile(resume, progress, rules, this.#parts, signal)
      if (ending === 'truncated' || ending === 'gone') await this.#letGo(resume, progress, ending)
    } catch (cause) {
      // The next look, one rescan from now, begins again from the resume point.
      const why = sayCause(cause)
      this.#troubles.set(pathKey(progress.path), why)
      this.#world.journal.fileTrouble(showKey(pathKey(progress.path)), why)
      this.#followed.delete(identityKey(resume.identity))
    }
  }

  async #letGo(resume: ResumePoint, progress: FileProgress, ending: Ending): Promise<void> {
    const { stream, path, identity } = resume
    const isDeleted = (await progress.file.facts()).links === 0
    // Renamed out of every glob, it may be renamed back: then it is read on where it was left.
    if (ending === 'truncated' || isDeleted) await this.#queue.endStream(stream)
    this.#followed.delete(identityKey(identity))
    progress.isOver = true
    this.#world.journal.streamEnded(showLogPath(path), stream, ending)
    this.#rearranged.ring()
  }
}

function identityOf({ device, inode, birthNs }: FileFacts): FileIdentity {
  return { device: String(device), inode: String(inode), birthNs: String(birthNs) }
}

function identityKey({ device, inode, birthNs }: FileIdentity): string {
  return `${device}:${inode}:${birthNs}`
}

function showKey(key: string): string {
  return Buffer.from(pathOfKey(key)).toString()
}

/** Between finding a file and opening it, it may be renamed or deleted. */
function isGone(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}
