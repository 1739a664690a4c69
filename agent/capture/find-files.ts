import { isUtf8 } from 'node:buffer'
import { isAbsolute, join, sep } from 'node:path'
import picomatch from 'picomatch'
import type { SourceConfig } from '../source-config.ts'
import type { FileFacts, Files } from '../world.ts'
import type { Attention } from './attention.ts'

export interface FoundFile {
  readonly path: Uint8Array
  /** The same. Kept where there are thousands: each small Buffer would keep all of the larger one alive that it is cut from. */
  readonly pathKey: string
  readonly source: SourceConfig
  /** A symbolic link stands there. */
  readonly isLink: boolean
}

/** A path that matches. It is the same object at each look, until something happens in its folder. */
export class Spot implements FoundFile {
  pathKey: string
  readonly source: SourceConfig
  readonly isLink: boolean
  /** The kernel tells of what happens to it: it lies in a folder that is watched, itself, under a name that comes whole. */
  readonly isTold: boolean
  /** What stood here when it was last asked; owned by who asks. */
  seen: { readonly key: string; readonly facts: FileFacts } | undefined
  /** Nothing was to be done about it then. */
  isSettled = false

  constructor(path: Uint8Array, source: SourceConfig, isLink: boolean, isWatched: boolean) {
    this.pathKey = pathKey(path)
    this.source = source
    this.isLink = isLink
    this.isTold = isWatched && !isLink && isUtf8(path)
    this.seen = undefined
  }

  get path(): Uint8Array {
    return pathOfKey(this.pathKey)
  }
}

/** What a folder has for one pattern. */
interface Listing {
  /** Of the folder, before it was read; undefined where it could not be read to its end. */
  readonly facts: FileFacts | undefined
  readonly teller: object | undefined
  /** At which look it was read. */
  readonly readAt: number
  /** The patterns that came by before, whose files it leaves out. */
  readonly earlier: readonly Pattern[]
  readonly spots: readonly Spot[]
  readonly folders: readonly Uint8Array[]
}

/** One pattern's way through the folders. */
interface Walk {
  readonly pattern: Pattern
  readonly hear: Hearer
  readonly attention: Attention
  /** By pathKey: of the walk before, and of this one. */
  readonly before: ReadonlyMap<string, Listing>
  readonly listings: Map<string, Listing>
  /** Which patterns came by a folder in this search, by pathKey. */
  readonly visitors: Map<string, readonly Pattern[]>
}

/** One glob of a source: where its files can be, and which they are. */
interface Pattern {
  readonly directory: string
  /** How many folders below `directory` its files can lie. */
  readonly depth: number
  readonly matches: (path: string) => boolean
  readonly source: SourceConfig
}

/** Hears of the folders that a search comes by. */
export interface Hearer {
  visited(directory: Uint8Array): void
  /** It was read, and may have other things in it than before. */
  listed(directory: Uint8Array): void
  missing(directory: Uint8Array): void
  /** It cannot be read. */
  trouble(directory: Uint8Array, cause: unknown): void
}

/** Which files a configuration is about. */
export class FileSearch {
  readonly #patterns: readonly Pattern[]
  readonly #files: Files
  /** Of the last search: what each pattern found, by pathKey of the folder. */
  readonly #listings = new Map<Pattern, ReadonlyMap<string, Listing>>()

  constructor(sources: readonly SourceConfig[], files: Files) {
    this.#patterns = sources.flatMap((source) => source.paths.map((path) => toPattern(path, source)))
    this.#files = files
  }

  /** The first source that is about this path. */
  sourceOf(path: Uint8Array): SourceConfig | undefined {
    const text = Buffer.from(path).toString()
    return this.#patterns.find((pattern) => pattern.matches(text))?.source
  }

  /** Whether it matters that something came or went at this path: a file that is wanted, or a folder of such. */
  concerns(path: Uint8Array): boolean {
    const text = Buffer.from(path).toString()
    return this.#patterns.some((pattern) => pattern.matches(text) || isOnWay(text, pattern))
  }

  /**
   * Every path that matches now, of the first source that it fits, by folder. Folders that are not there are passed over;
   * one of which `attention` knows that nothing happened in it is not read again.
   */
  async *find(hear: Hearer, attention: Attention): AsyncGenerator<readonly Spot[]> {
    const visitors = new Map<string, readonly Pattern[]>()
    for (const pattern of this.#patterns) {
      const before = this.#listings.get(pattern) ?? new Map<string, Listing>()
      const listings = new Map<string, Listing>()
      const walk = { pattern, hear, attention, before, listings, visitors }
      yield* this.#walk(Buffer.from(pattern.directory), pattern.depth, walk)
      this.#listings.set(pattern, listings)
    }
  }

  async *#walk(directory: Uint8Array, depth: number, walk: Walk): AsyncGenerator<readonly Spot[]> {
    const { spots, folders } = await this.#list(directory, walk)
    yield spots
    if (depth === 0) return
    for (const folder of folders) yield* this.#walk(folder, depth - 1, walk)
  }

  async #list(directory: Uint8Array, walk: Walk): Promise<Listing> {
    const { pattern, hear, before, listings, visitors } = walk
    const key = pathKey(directory)
    const earlier = visitors.get(key) ?? []
    visitors.set(key, [...earlier, pattern])
    hear.visited(directory)
    const known = before.get(key)
    const isCurrent =
      known && isSameList(known.earlier, earlier) && (await this.#holds(known, directory, key, walk))
    const listing = isCurrent ? known : await this.#read(directory, earlier, walk)
    listings.set(key, listing)
    return listing
  }

  /** Whether nothing happened in the folder since it was read. */
  async #holds(
    { teller, facts, readAt }: Listing,
    directory: Uint8Array,
    key: string,
    { attention }: Walk,
  ): Promise<boolean> {
    const isTold = teller !== undefined && teller === attention.tellerOf(key)
    if (!facts || !isTold || attention.isHeard(key) || !attention.isBelieved(readAt)) return false
    if (!attention.isDue('folders')) return true
    const now = await this.#files.facts(directory).catch(() => undefined)
    return now !== undefined && isUnchanged(facts, now)
  }

  async #read(directory: Uint8Array, earlier: readonly Pattern[], walk: Walk): Promise<Listing> {
    const { pattern, hear, attention } = walk
    const spots: Spot[] = []
    const folders: Uint8Array[] = []
    const teller = attention.tellerOf(pathKey(directory))
    let facts: FileFacts | undefined
    try {
      const before = await this.#files.facts(directory)
      for await (const { name, is } of this.#files.entries(directory)) {
        const path = pathIn(directory, name)
        if (is === 'directory') folders.push(path)
        else if (isFor(path, pattern, earlier))
          spots.push(new Spot(path, pattern.source, is === 'link', teller !== undefined))
      }
      facts = before
      hear.listed(directory)
    } catch (cause) {
      if (isMissing(cause)) hear.missing(directory)
      else hear.trouble(directory, cause)
    }
    return { facts, teller, readAt: attention.looks, earlier, spots, folders }
  }
}

/** Whether the path is for this pattern, and for none of those that came by its folder before. */
function isFor(path: Uint8Array, pattern: Pattern, earlier: readonly Pattern[]): boolean {
  const text = Buffer.from(path).toString()
  return pattern.matches(text) && !earlier.some((other) => other.matches(text))
}

function isUnchanged(before: FileFacts, now: FileFacts): boolean {
  const isSame = now.device === before.device && now.inode === before.inode && now.birthNs === before.birthNs
  return isSame && now.modifiedNs === before.modifiedNs && now.changedNs === before.changedNs
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index])
}

/** The path of a name in a folder, in bytes: neither need be UTF-8. */
export function pathIn(directory: Uint8Array, name: Uint8Array): Uint8Array {
  return Buffer.concat([directory, Buffer.from(directory.at(-1) === 0x2f ? '' : sep), name])
}

/** A path as the key of a map: two paths that are not UTF-8 may look the same as text. */
export function pathKey(path: Uint8Array): string {
  return Buffer.from(path).toString('latin1')
}

/** The path of which `pathKey` made this key. */
export function pathOfKey(key: string): Uint8Array {
  return Buffer.from(key, 'latin1')
}

/** Whether a pattern's files can lie below this path. */
function isOnWay(path: string, { directory, depth }: Pattern): boolean {
  if (directory === path || directory.startsWith(`${path}${sep}`)) return true
  return depth > 0 && path.startsWith(`${directory}${sep}`)
}

function toPattern(glob: string, source: SourceConfig): Pattern {
  const { base, glob: rest } = picomatch.scan(glob)
  const isPlain = rest === ''
  const directory = isPlain ? join(base, '..') : base
  const included = picomatch(glob)
  const excluded = picomatch([...source.exclude], { basename: true })
  const excludedPath = picomatch(source.exclude.filter(isAbsolute))
  const matches = (path: string): boolean => included(path) && !excluded(path) && !excludedPath(path)
  return { directory, depth: isPlain ? 0 : depthOf(rest), matches, source }
}

function depthOf(glob: string): number {
  return glob.includes('**') ? Infinity : glob.split('/').length - 1
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')
}
