import { randomBytes, randomInt } from 'node:crypto'
import { constants, readFileSync, type BigIntStats } from 'node:fs'
import {
  access,
  open,
  opendir,
  readFile,
  realpath,
  rename,
  stat,
  statfs,
  unlink,
  type FileHandle,
} from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import type { ClockState } from '../protocol/manifest.ts'
import type { Clock } from './clock.ts'
import { logfmtJournal, type Journal } from './journal.ts'
import { makeFolders } from './make-folders.ts'
import { releaseMemory } from './release-memory.ts'
import { watchedSurroundings, type Surroundings } from './surroundings.ts'
import { watchFolder, type Hearing } from './watch-folder.ts'

export interface Chance {
  bytes(count: number): Uint8Array
  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number
}

/** What a file system says of a file. */
export interface FileFacts {
  readonly device: bigint
  readonly inode: bigint
  /** Nanoseconds; 0 where the file system does not know. */
  readonly birthNs: bigint
  readonly size: number
  readonly links: number
  readonly isFile: boolean
  /** When its bytes, and when anything about it, last changed, in nanoseconds of the wall clock then. */
  readonly modifiedNs: bigint
  readonly changedNs: bigint
  /** The bits that say who may do what: 0o644. */
  readonly mode: number
}

export interface DirectoryEntry {
  /** As bytes: a name need not be UTF-8. */
  readonly name: Uint8Array
  readonly is: 'directory' | 'link' | 'other'
}

export interface OpenFile extends AsyncDisposable {
  facts(): Promise<FileFacts>
  /** Reads up to `into.length` bytes from `position`; 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>
  /** Writes all of the pieces, one behind the other, from `position` on. */
  write(pieces: readonly Uint8Array[], position: number): Promise<void>
  /** When it resolves, what was written survives a power cut (fdatasync). */
  sync(): Promise<void>
}

/** A path as text, or as bytes where it need not be UTF-8. */
export type Path = string | Uint8Array

export interface Files {
  openToRead(path: Path): Promise<OpenFile>
  /** A new, empty file; fails where one exists. */
  create(path: Path): Promise<OpenFile>
  /** Follows symbolic links. */
  facts(path: Path): Promise<FileFacts>
  /** Where a path leads once every symbolic link is followed. */
  realPath(path: Path): Promise<Uint8Array>
  entries(directory: Path): AsyncIterable<DirectoryEntry>
  /** Tells at once what happens in a folder, from when it resolves until it is disposed of. Throws where the kernel refuses. */
  watch(directory: Uint8Array, heard: Hearing): Promise<AsyncDisposable>
  readWhole(path: Path): Promise<Uint8Array | undefined>
  makeDirectory(path: string): Promise<void>
  remove(path: Path): Promise<void>
  rename(from: Path, to: Path): Promise<void>
  /** What may still be written to the disk that holds this path, by who is not root. */
  freeBytes(path: Path): Promise<number>
  /** What that disk can hold at all. */
  diskBytes(path: Path): Promise<number>
  /** When it resolves, names made, renamed and removed in the folder survive a power cut. */
  syncDirectory(path: Path): Promise<void>
}

/** LevelDB, as the queue uses it. */
export type Index = Level

/** Everything that the agent finds outside of itself. */
export interface World {
  readonly clock: Clock
  readonly chance: Chance
  readonly files: Files
  readonly journal: Journal
  readonly surroundings: Surroundings
  /** How this process is named to another one that finds the state in use. */
  readonly processId: number
  openIndex(directory: string): Promise<Index>
  /** Gives back what was needed for a while: nothing else is done meanwhile. */
  readonly releaseMemory: () => void
}

/** The world as it is: this process, its disk and its clocks. Facts go to stderr. */
export function realWorld(): World {
  const clock = realClock()
  return {
    clock,
    chance: { bytes: (count) => randomBytes(count), below: (limit) => randomInt(limit) },
    files: realFiles,
    journal: logfmtJournal((line) => process.stderr.write(line), clock),
    surroundings: watchedSurroundings(clock, (path) => realFiles.readWhole(path)),
    processId: process.pid,
    openIndex,
    releaseMemory,
  }
}

/** Before it, a wall clock was plainly never set: the release of this program. */
const plausibleFromMs = Date.UTC(2025, 0, 1)
/** systemd-timesyncd makes this file once it has set the clock. */
const synchronizedMark = '/run/systemd/timesync/synchronized'
const longestTimeoutMs = 2 ** 31 - 1

function realClock(): Clock {
  return {
    monotonicMs,
    wallMs: () => Math.max(0, Date.now()),
    wallState: rememberedWallState(),
    bootId: Buffer.from(
      readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replace(/[^0-9a-f]/g, ''),
      'hex',
    ),
    sleep,
  }
}

/** Since the boot, as records have it. Not `performance.now`: that counts from the start of this process, and loads much to do so. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

/** Every record asks, and the answer hardly ever changes. */
const wallStateMs = 1000

function rememberedWallState(): () => Promise<ClockState> {
  let known: Promise<ClockState> | undefined
  let untilMs = 0
  return () => {
    const nowMs = monotonicMs()
    if (known && nowMs < untilMs) return known
    untilMs = nowMs + wallStateMs
    known = wallState()
    return known
  }
}

async function wallState(): Promise<ClockState> {
  if (Date.now() < plausibleFromMs) return 'unset'
  const isSynchronized = await access(synchronizedMark).then(
    () => true,
    () => false,
  )
  return isSynchronized ? 'synchronized' : 'set'
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const wake = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, Math.min(ms, longestTimeoutMs))
    signal.addEventListener('abort', wake)
  })
}

const realFiles: Files = {
  openToRead: async (path) =>
    new RealFile(await open(toFsPath(path), constants.O_RDONLY | constants.O_NONBLOCK)),
  create: async (path) => new RealFile(await open(toFsPath(path), 'wx+', 0o600)),
  facts: async (path) => toFacts(await stat(toFsPath(path), { bigint: true })),
  realPath: (path) => realpath(toFsPath(path), { encoding: 'buffer' }),
  entries: listEntries,
  watch: watchFolder,
  readWhole: (path) => readFile(toFsPath(path)).catch(unlessMissing),
  makeDirectory: async (path) => void makeFolders(path, 0o700),
  remove: (path) => unlink(toFsPath(path)),
  rename: (from, to) => rename(toFsPath(from), toFsPath(to)),
  freeBytes: async (path) => {
    const { bavail, bsize } = await statfs(toFsPath(path))
    return bavail * bsize
  },
  diskBytes: async (path) => {
    const { blocks, bsize } = await statfs(toFsPath(path))
    return blocks * bsize
  },
  syncDirectory: async (path) => {
    await using directory = await open(toFsPath(path), 'r')
    await directory.sync()
  },
}

class RealFile implements OpenFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async facts(): Promise<FileFacts> {
    return toFacts(await this.#handle.stat({ bigint: true }))
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const { bytesRead } = await this.#handle.read(into, 0, into.length, position)
    return bytesRead
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const { bytesWritten } = await this.#handle.writev([...pieces], position)
    // A disk that fills up takes a part, without an error; trying the rest brings the error.
    if (bytesWritten < length)
      await this.#writeRest(Buffer.concat(pieces).subarray(bytesWritten), position + bytesWritten)
  }

  async #writeRest(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done)
      done += bytesWritten
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#handle.close()
  }
}

async function* listEntries(directory: Path): AsyncGenerator<DirectoryEntry> {
  // With `encoding: 'buffer'` names come as bytes, which the types do not know.
  const entries = await opendir(toFsPath(directory), { encoding: 'buffer' as 'utf8' })
  for await (const entry of entries) {
    const is = entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'link' : 'other'
    yield { name: entry.name as unknown as Uint8Array, is }
  }
}

const modeBits = 0o7777n

function toFacts(stats: BigIntStats): FileFacts {
  // In one piece: an object that is put together of others takes half as much again, and one is kept for each file.
  return {
    device: stats.dev,
    inode: stats.ino,
    birthNs: stats.birthtimeNs,
    size: Number(stats.size),
    links: Number(stats.nlink),
    isFile: stats.isFile(),
    modifiedNs: stats.mtimeNs,
    changedNs: stats.ctimeNs,
    mode: Number(stats.mode & modeBits),
  }
}

function toFsPath(path: Path): string | Buffer {
  return typeof path === 'string' ? path : Buffer.from(path.buffer, path.byteOffset, path.length)
}

function unlessMissing(cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== 'ENOENT') throw cause
}

/** Small, because the index is small and the drone's memory is the autopilot's. */
const indexOptions = { writeBufferSize: 1024 * 1024, cacheSize: 1024 * 1024, maxOpenFiles: 64 }

async function openIndex(directory: string): Promise<Index> {
  const index: Index = new Level(join(directory), indexOptions)
  await index.open()
  return index
}
