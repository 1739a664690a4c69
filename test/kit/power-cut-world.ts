import type { Surroundings } from '../../agent/surroundings.ts'
import type { DirectoryEntry, FileFacts, Files, Index, OpenFile, Path, World } from '../../agent/world.ts'
import { encodeBody } from '../../protocol/body.ts'
import { FakeClock, FakeSurroundings, RecordingJournal } from './fake-world.ts'
import { DiskFile, DiskFolder, DiskIndex, type DiskNode, type PowerCutDisk } from './power-cut-disk.ts'
import type { Seeded } from './seeded.ts'

/**
 * What an agent finds between power-on and a power cut: a disk with a cache, and time that goes on only when nothing else
 * can. Every operation is seen by all at once and answered later, in an order that the seed decides. The cut comes with
 * the operation of a given number; from then on nothing is answered.
 */
export class PowerCutWorld implements World {
  readonly clock = new FakeClock()
  readonly told = new RecordingJournal()
  readonly journal = this.told.journal
  readonly chance: Seeded
  readonly processId = 1
  readonly releaseMemory = (): void => undefined
  readonly surroundings: Surroundings = new FakeSurroundings(this.clock)
  readonly files: Files
  readonly #disk: PowerCutDisk
  readonly cutAt: number
  readonly #answers: (() => void)[] = []
  operations = 0

  constructor(disk: PowerCutDisk, chance: Seeded, cutAt: number) {
    this.chance = chance
    this.#disk = disk
    this.cutAt = cutAt
    this.files = diskFiles(disk, this)
  }

  get isCut(): boolean {
    return this.operations >= this.cutAt
  }

  /** Does the work now; answers later, once `kept` made it durable, or never. */
  operate<T>(work: () => T, kept: (result: T) => void = () => undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    if (this.isCut) return promise
    this.operations++
    try {
      const result = work()
      this.#answers.push(() => {
        kept(result)
        resolve(result)
      })
    } catch (cause) {
      this.#answers.push(() => reject(cause))
    }
    return promise
  }

  /** Lets the agent go on as far as it can, then answers an operation, or lets time pass to where somebody wakes. */
  async turn(): Promise<void> {
    // The one thing that it does elsewhere: behind this body, none of its own is being compressed any more.
    await encodeBody(Uint8Array.of(0))
    await new Promise(setImmediate)
    if (this.isCut) return
    const answers = this.#nextAnswers()
    for (const answer of answers) answer()
    const { nextMs } = this.clock
    if (answers.length === 0 && nextMs !== undefined)
      this.clock.advance(Math.max(0, nextMs - this.clock.monotonicMs()))
  }

  /** Mostly all that there are, in order; now and then a late one before the others. */
  #nextAnswers(): (() => void)[] {
    const isInOrder = this.chance.below(4) > 0
    return isInOrder
      ? this.#answers.splice(0)
      : this.#answers.splice(this.chance.below(this.#answers.length), 1)
  }

  async openIndex(directory: string): Promise<Index> {
    const index = await this.operate(() => {
      const folder = makeFolders(this.#disk, partsOf(directory))
      return (folder.index ??= new DiskIndex())
    })
    return levelOn(index, this) as unknown as Index
  }
}

/** What the queue uses of LevelDB. */
function levelOn(index: DiskIndex, world: PowerCutWorld): object {
  const batch = (writes: readonly Write[], { sync = false } = {}): Promise<unknown> =>
    world.operate(
      () => {
        const entries = new Map(index.entries)
        for (const { type, key, value } of writes) {
          if (type === 'put') entries.set(key, value ?? '')
          else entries.delete(key)
        }
        index.write(entries)
        return entries
      },
      (entries) => {
        if (sync) index.keep(entries)
      },
    )
  return {
    status: 'open',
    get: (key: string) => world.operate(() => index.entries.get(key)),
    getMany: (keys: readonly string[]) => world.operate(() => keys.map((key) => index.entries.get(key))),
    iterator: ({ gte, lt, limit }: Range) => ({
      all: () =>
        world.operate(() =>
          [...index.entries]
            .filter(([key]) => key >= gte && key < lt)
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
            .slice(0, limit),
        ),
    }),
    batch,
    close: () => world.operate(() => undefined),
  }
}

interface Write {
  readonly type: 'put' | 'del'
  readonly key: string
  readonly value?: string
}

interface Range {
  readonly gte: string
  readonly lt: string
  readonly limit: number
}

function diskFiles(disk: PowerCutDisk, world: PowerCutWorld): Files {
  return {
    openToRead: async (path) => openFile(await world.operate(() => fileAt(disk, path)), world),
    create: async (path) => openFile(await world.operate(() => createFile(disk, path)), world),
    facts: (path) => world.operate(() => factsOf(nodeAt(disk, partsOf(path)), path)),
    entries: async function* (directory) {
      yield* await world.operate(() => entriesOf(folderAt(disk, partsOf(directory))))
    },
    realPath: (path) => world.operate(() => Buffer.from(path)),
    // Nothing depends on being told: every change is found by the slow look.
    watch: async (directory) => {
      throw fails('ENOSYS', directory)
    },
    readWhole: (path) =>
      world.operate(() => {
        const node = nodeAt(disk, partsOf(path))
        return node instanceof DiskFile ? node.content : undefined
      }),
    makeDirectory: (path) => world.operate(() => void makeFolders(disk, partsOf(path))),
    remove: (path) => world.operate(() => removeName(disk, path)),
    rename: (from, to) => world.operate(() => renameNode(disk, from, to)),
    freeBytes: () => world.operate(() => 1 << 30),
    diskBytes: () => world.operate(() => 1 << 30),
    syncDirectory: async (path) => {
      await world.operate(
        () => disk.stepsOf(folderAt(disk, partsOf(path))),
        (steps) => disk.keepNames(steps),
      )
    },
  }
}

function openFile(file: DiskFile, world: PowerCutWorld): OpenFile {
  return {
    facts: () => world.operate(() => factsOf(file, '')),
    read: (into, position) =>
      world.operate(() => {
        const bytes = file.content.subarray(position, position + into.length)
        into.set(bytes)
        return bytes.length
      }),
    write: (pieces, position) => world.operate(() => file.write(pieces, position)),
    sync: async () => {
      await world.operate(
        () => file.version,
        (version) => file.keep(version),
      )
    },
    [Symbol.asyncDispose]: () => world.operate(() => undefined),
  }
}

function fails(code: string, path: Path): Error {
  return Object.assign(new Error(`${code}: ${Buffer.from(path).toString()}`), { code })
}

function partsOf(path: Path): string[] {
  const text = typeof path === 'string' ? path : Buffer.from(path).toString()
  return text.split('/').filter((part) => part !== '')
}

function nodeAt(disk: PowerCutDisk, parts: readonly string[]): DiskNode | undefined {
  let node: DiskNode | undefined = disk.root
  for (const part of parts) node = node instanceof DiskFolder ? node.names.get(part) : undefined
  return node
}

function folderAt(disk: PowerCutDisk, parts: readonly string[]): DiskFolder {
  const node = nodeAt(disk, parts)
  if (node instanceof DiskFolder) return node
  throw fails('ENOENT', parts.join('/'))
}

/** The file at a path; throws where there is none. */
export function fileAt(disk: PowerCutDisk, path: Path): DiskFile {
  const node = nodeAt(disk, partsOf(path))
  if (node instanceof DiskFile) return node
  throw fails('ENOENT', path)
}

/** Makes the folder at a path, and those above it. */
export function makeFolders(disk: PowerCutDisk, parts: readonly string[]): DiskFolder {
  let folder = disk.root
  for (const name of parts) {
    const found = folder.names.get(name)
    const next = found instanceof DiskFolder ? found : disk.makeFolder()
    if (!found) disk.change([{ folder, name, node: next }])
    folder = next
  }
  return folder
}

/** A new, empty file; throws where one exists. */
export function createFile(disk: PowerCutDisk, path: Path): DiskFile {
  const parts = partsOf(path)
  if (nodeAt(disk, parts)) throw fails('EEXIST', path)
  const folder = folderAt(disk, parts.slice(0, -1))
  const node = disk.makeFile()
  disk.change([{ folder, name: parts.at(-1) ?? '', node }])
  return node
}

function removeName(disk: PowerCutDisk, path: Path): void {
  const parts = partsOf(path)
  if (!nodeAt(disk, parts)) throw fails('ENOENT', path)
  disk.change([{ folder: folderAt(disk, parts.slice(0, -1)), name: parts.at(-1) ?? '', node: undefined }])
}

/** One step: after a cut either both names are as they were or both are as they became. */
export function renameNode(disk: PowerCutDisk, from: Path, to: Path): void {
  const [before, after] = [partsOf(from), partsOf(to)]
  const node = nodeAt(disk, before)
  if (!node) throw fails('ENOENT', from)
  disk.change([
    { folder: folderAt(disk, before.slice(0, -1)), name: before.at(-1) ?? '', node: undefined },
    { folder: folderAt(disk, after.slice(0, -1)), name: after.at(-1) ?? '', node },
  ])
}

function entriesOf(folder: DiskFolder): DirectoryEntry[] {
  return [...folder.names].map(([name, node]) => ({
    name: Buffer.from(name),
    is: node instanceof DiskFolder ? 'directory' : 'other',
  }))
}

function factsOf(node: DiskNode | undefined, path: Path): FileFacts {
  if (!node) throw fails('ENOENT', path)
  const common = { device: 1n, inode: node.inode }
  if (node instanceof DiskFolder)
    return { ...common, ...unchanging, birthNs: 1n, size: 0, links: 1, isFile: false }
  const { birthNs, content, links, changedNs } = node
  const times = { modifiedNs: changedNs, changedNs, mode: 0o644 }
  return { ...common, ...times, birthNs, size: content.length, links, isFile: true }
}

const unchanging = { modifiedNs: 1n, changedNs: 1n, mode: 0o755 }
