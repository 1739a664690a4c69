import type { Queue } from '../queue/queue.ts'
import type { ResumePoint } from '../queue/resume-point.ts'
import { sayCause } from '../say-cause.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { FileFacts } from '../world.ts'
import type { Endings } from './endings.ts'
import { pathKey, type FoundFile, type Hearer } from './find-files.ts'
import type { Generation } from './generation.ts'
import { identityKey } from './identity.ts'
import { isGone } from './open-files.ts'
import { folderOf, type Places } from './places.ts'

/** What one look found. */
export interface Sight {
  /** Folders to be watched, by pathKey. */
  readonly folders: ReadonlySet<string>
  /** What could not be looked at, by pathKey. */
  readonly troubled: ReadonlyMap<string, string>
  /** Resume points of files that it did not find, and should have. */
  readonly unfollowed: readonly ResumePoint[]
  /** Who is followed under a path, by pathKey. */
  readonly byPath: ReadonlyMap<string, Generation>
}

/** A file that nobody follows. */
export interface Stranger {
  readonly found: FoundFile
  readonly facts: FileFacts
  /** Its identity. */
  readonly key: string
}

/** In which strangers are compared with what is known: of their own path, then of every other, until nobody else can be it. */
export type Pass = 'here' | 'renamed' | 'last'

/** A file, under each name that leads to it, by pathKey. */
export interface Seen {
  readonly first: string
  readonly paths: string[]
  readonly facts: FileFacts
}

/** What comes together while one look goes on. */
export class Round implements Hearer {
  readonly places: Places
  /** Something is not as it was at the look before. */
  isStirred = false
  readonly seen = new Map<string, Seen>()
  readonly strangers: Stranger[] = []
  /** Strangers put off until all others were met in this pass. */
  later: Stranger[] = []
  pass: Pass = 'here'
  /** Strangers wait for a later look: what the server has of them could not be stored. */
  isPutOff = false
  /** Who is followed and was not seen: its file system may have come back under another number. By identity. */
  readonly vanished = new Set<string>()
  /** By pathKey: where files were looked for. */
  readonly walked = new Set<string>()
  /** Those with files that were found by a link. */
  readonly #linked = new Set<string>()
  readonly #troubled = new Map<string, string>()
  readonly #byPath = new Map<string, Generation>()
  #pointsByKey: Map<string, ResumePoint> | undefined
  #missing: Set<ResumePoint> | undefined
  #missingByPath: Map<string, readonly ResumePoint[]> | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(places: Places) {
    this.places = places
  }

  get sight(): Omit<Sight, 'unfollowed'> {
    const folders = new Set([...this.walked, ...this.#linked])
    return { folders, troubled: this.#troubled, byPath: this.#byPath }
  }

  visited(directory: Uint8Array): void {
    this.walked.add(pathKey(directory))
  }

  listed(): void {
    this.isStirred = true
  }

  /** Its parent tells when it comes. */
  missing(directory: Uint8Array): void {
    this.walked.delete(pathKey(directory))
    this.walked.add(pathKey(folderOf(directory)))
  }

  trouble(path: Uint8Array, cause: unknown): void {
    this.isStirred = true
    this.#troubled.set(pathKey(path), sayCause(cause))
  }

  /** Does the work; what keeps it from being done is a trouble with this path, unless it is gone. */
  async attempt<T>(path: Uint8Array, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (cause) {
      if (!isGone(cause)) this.trouble(path, cause)
      return undefined
    }
  }

  /** Does what must not be done for two files at once. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** Whether the path, or a folder above it, could not be looked at: then its file may be there all the same. */
  isHidden(path: Uint8Array): boolean {
    if (this.#troubled.has(pathKey(path))) return true
    return path.length > 1 && this.isHidden(folderOf(path))
  }

  /** Whether it was seen before, under another name. */
  saw(key: string, { pathKey: path }: FoundFile, facts: FileFacts): boolean {
    const seen = this.seen.get(key)
    if (seen) seen.paths.push(path)
    else this.seen.set(key, { first: path, paths: [path], facts })
    return seen !== undefined
  }

  /** A file may lie elsewhere than where a link to it was found; there it is watched, too. */
  place(generation: Generation): void {
    const seen = this.seen.get(generation.key)
    for (const path of seen?.paths ?? [generation.pathKey]) this.#byPath.set(path, generation)
    const real = logPathToBytes(generation.place.path)
    this.#byPath.set(pathKey(real), generation)
    if (seen) this.#linked.add(pathKey(folderOf(real)))
  }

  pointsByKey({ resumePoints }: Queue): ReadonlyMap<string, ResumePoint> {
    this.#pointsByKey ??= new Map(
      [...resumePoints.values()].map((point) => [identityKey(point.identity), point]),
    )
    return this.#pointsByKey
  }

  /** Gives the strangers that were put off until then. */
  begin(pass: Pass): readonly Stranger[] {
    this.pass = pass
    for (const point of this.#missing ?? []) if (this.#isOnlyHidden(point)) this.#missing?.delete(point)
    return this.later.splice(0)
  }

  /** Its file is there, and could not be looked at. */
  #isOnlyHidden({ identity, place, path }: ResumePoint): boolean {
    return this.seen.has(identityKey(identity)) && this.isHidden(logPathToBytes(place?.path ?? path))
  }

  /** The resume points whose own file was not seen, or, where an inode's number says little, not met yet. */
  missingPoints(
    queue: Queue,
    followed: ReadonlyMap<string, Generation>,
    endings: Endings,
  ): ReadonlySet<ResumePoint> {
    this.#missing ??= new Set(
      [...queue.resumePoints.values()].filter(({ identity, stream }) => {
        if (endings.isUnderWay(stream)) return false
        const key = identityKey(identity)
        const isSeen = this.seen.has(key) && identity.birthNs !== '0'
        const isFollowed = followed.get(key)?.label.stream === stream
        return !isSeen && (!isFollowed || this.vanished.has(key))
      }),
    )
    return this.#missing
  }

  /** Those of them that lie at this path. */
  missingAt(path: Uint8Array, missing: ReadonlySet<ResumePoint>): readonly ResumePoint[] {
    if (!this.#missingByPath) {
      this.#missingByPath = new Map()
      for (const point of missing) {
        const key = pathKey(logPathToBytes(point.place?.path ?? point.path))
        this.#missingByPath.set(key, [...(this.#missingByPath.get(key) ?? []), point])
      }
    }
    return (this.#missingByPath.get(pathKey(path)) ?? []).filter((point) => missing.has(point))
  }

  /** Its file was found. */
  found(point: ResumePoint): void {
    this.#missing?.delete(point)
  }
}
