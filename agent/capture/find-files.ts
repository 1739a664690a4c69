import { isAbsolute, join, sep } from 'node:path'
import picomatch from 'picomatch'
import type { SourceConfig } from '../source-config.ts'
import type { Files } from '../world.ts'

export interface FoundFile {
  readonly path: Uint8Array
  readonly source: SourceConfig
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
  missing(directory: Uint8Array): void
  /** It cannot be read. */
  trouble(directory: Uint8Array, cause: unknown): void
}

/** Which files a configuration is about. */
export class FileSearch {
  readonly #patterns: readonly Pattern[]
  readonly #files: Files

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

  /** Every path that matches now, of the first source that it fits. Folders that are not there are passed over. */
  async *find(hear: Hearer): AsyncGenerator<FoundFile> {
    const given = new Set<string>()
    for (const pattern of this.#patterns) {
      for await (const path of this.#walk(Buffer.from(pattern.directory), pattern.depth, hear)) {
        const key = pathKey(path)
        if (given.has(key) || !pattern.matches(Buffer.from(path).toString())) continue
        given.add(key)
        yield { path, source: pattern.source }
      }
    }
  }

  async *#walk(directory: Uint8Array, depth: number, hear: Hearer): AsyncGenerator<Uint8Array> {
    const folders: Uint8Array[] = []
    try {
      hear.visited(directory)
      for await (const { name, is } of this.#files.entries(directory)) {
        const path = Buffer.concat([directory, Buffer.from(directory.at(-1) === 0x2f ? '' : sep), name])
        if (is === 'directory') folders.push(path)
        else yield path
      }
    } catch (cause) {
      if (isMissing(cause)) hear.missing(directory)
      else hear.trouble(directory, cause)
    }
    if (depth === 0) return
    for (const folder of folders) yield* this.#walk(folder, depth - 1, hear)
  }
}

/** A path as the key of a map: two paths that are not UTF-8 may look the same as text. */
export function pathKey(path: Uint8Array): string {
  return Buffer.from(path).toString('latin1')
}

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
