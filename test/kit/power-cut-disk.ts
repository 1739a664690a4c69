import type { Seeded } from './seeded.ts'

/** What the disk may have written of a file while the power went: sectors, or pages of the cache. */
const pageSizes = [512, 4096] as const

interface Version {
  readonly content: Uint8Array
  readonly writes: number
}

/** A file: what its readers see of it, and what a power cut cannot take away. */
export class DiskFile {
  readonly inode: bigint
  readonly birthNs: bigint
  /** Names that lead to it. */
  links = 0
  #now: Version = { content: new Uint8Array(0), writes: 0 }
  #durable = this.#now

  constructor(inode: bigint, birthNs: bigint) {
    this.inode = inode
    this.birthNs = birthNs
  }

  /** Later with every write; a cut that leaves the bytes of a write leaves its time. */
  get changedNs(): bigint {
    return this.birthNs + BigInt(this.#now.writes)
  }

  /** What is seen now; a later one has more writes. */
  get version(): Version {
    return this.#now
  }

  get content(): Uint8Array {
    return this.#now.content
  }

  write(pieces: readonly Uint8Array[], position: number): void {
    const bytes = Buffer.concat(pieces)
    const next = new Uint8Array(Math.max(this.content.length, position + bytes.length))
    next.set(this.content)
    next.set(bytes, position)
    this.#now = { content: next, writes: this.#now.writes + 1 }
  }

  /** Makes a version that it had durable; what was written since then is not. */
  keep(version: Version): void {
    if (version.writes > this.#durable.writes) this.#durable = version
  }

  /** What a cut leaves: the length anywhere between the two, and of each page that differs the old bytes or the new. */
  cut(chance: Seeded): void {
    if (this.#durable === this.#now) return
    const before = this.#durable.content
    const after = this.content
    const length = lengthBetween(before.length, after.length, chance)
    const left = padded(before, length)
    const pageBytes = chance.pick(pageSizes)
    const share = chance.below(5)
    for (let page = 0; page < length; page += pageBytes) {
      if (chance.below(4) < share) left.set(after.subarray(page, Math.min(page + pageBytes, length)), page)
    }
    this.#now = { content: left, writes: this.#now.writes }
    this.#durable = this.#now
  }
}

function lengthBetween(before: number, after: number, chance: Seeded): number {
  const between = Math.min(before, after) + chance.below(Math.abs(after - before) + 1)
  return chance.pick([before, after, between])
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const result = new Uint8Array(length)
  result.set(bytes.subarray(0, length))
  return result
}

/** What LevelDB keeps in a folder of its own. Its log keeps the order: a batch survives only with all before it. */
export class DiskIndex {
  entries = new Map<string, string>()
  #durable: ReadonlyMap<string, string> = new Map()
  #log: ReadonlyMap<string, string>[] = []

  /** Makes a state of the entries current, and the next that a cut may leave. */
  write(entries: Map<string, string>): void {
    this.entries = entries
    this.#log.push(entries)
  }

  keep(entries: ReadonlyMap<string, string>): void {
    const written = this.#log.indexOf(entries)
    if (written < 0) return
    this.#durable = entries
    this.#log = this.#log.slice(written + 1)
  }

  cut(chance: Seeded): void {
    const survivor = [this.#durable, ...this.#log][chance.below(this.#log.length + 1)]
    this.entries = new Map(survivor)
    this.#durable = this.entries
    this.#log = []
  }
}

export type DiskNode = DiskFile | DiskFolder

/** A folder: the names as they are seen, and those that a power cut cannot take away. */
export class DiskFolder {
  readonly inode: bigint
  names = new Map<string, DiskNode>()
  durable = new Map<string, DiskNode>()
  /** Where LevelDB lives in it. */
  index: DiskIndex | undefined

  constructor(inode: bigint) {
    this.inode = inode
  }
}

interface NameChange {
  readonly folder: DiskFolder
  readonly name: string
  /** undefined: the name goes. */
  readonly node: DiskNode | undefined
}

/** Changes of names that happen together, as in a rename: a cut leaves all of them or none. */
type NameStep = readonly NameChange[]

/** A disk with a cache: everything is seen at once, and survives a cut only when it was synced. */
export class PowerCutDisk {
  #root = new DiskFolder(1n)
  #nodes = 1n
  /** Not durable yet, in their order. */
  #steps: NameStep[] = []

  get root(): DiskFolder {
    return this.#root
  }

  makeFile(): DiskFile {
    return new DiskFile(++this.#nodes, 1_790_000_000_000_000_000n + this.#nodes)
  }

  makeFolder(): DiskFolder {
    return new DiskFolder(++this.#nodes)
  }

  change(step: NameStep): void {
    for (const { folder, name, node } of step) {
      const before = folder.names.get(name)
      if (before instanceof DiskFile) before.links--
      if (node) folder.names.set(name, node)
      else folder.names.delete(name)
      if (node instanceof DiskFile) node.links++
    }
    this.#steps.push(step)
  }

  /** The steps that touch a folder now, to be made durable when its sync is done. */
  stepsOf(folder: DiskFolder): readonly NameStep[] {
    return this.#steps.filter((step) => step.some((change) => change.folder === folder))
  }

  keepNames(steps: readonly NameStep[]): void {
    for (const step of steps) if (this.#steps.includes(step)) keepStep(step)
    const kept = new Set(steps.flat().map(({ folder, name }) => `${folder.inode}/${name}`))
    const last = this.#steps.findLastIndex((step) => steps.includes(step))
    // What came before at the same names is history; what came after is still in doubt.
    this.#steps = this.#steps.flatMap((step, place) => {
      if (steps.includes(step)) return []
      return [place > last ? step : step.filter(({ folder, name }) => !kept.has(`${folder.inode}/${name}`))]
    })
  }

  /** As when the system was shut down in order. */
  keepAllNames(): void {
    this.keepNames(this.#steps)
  }

  /** The power goes: of what was not synced, a random part is left. Open files are closed by that. */
  cut(chance: Seeded): void {
    const isJournaled = chance.below(2) === 0
    const prefix = chance.below(this.#steps.length + 1)
    const survives = (place: number): boolean => (isJournaled ? place < prefix : chance.below(2) === 0)
    for (const [place, step] of this.#steps.entries()) if (survives(place)) keepStep(step)
    this.#steps = []
    settleFolder(this.#root, chance)
  }
}

function keepStep(step: NameStep): void {
  for (const { folder, name, node } of step) {
    if (node) folder.durable.set(name, node)
    else folder.durable.delete(name)
  }
}

function settleFolder(folder: DiskFolder, chance: Seeded): void {
  folder.index?.cut(chance)
  folder.names = new Map(folder.durable)
  for (const node of folder.names.values()) if (node instanceof DiskFile) node.links = 0
  for (const node of folder.names.values()) {
    if (node instanceof DiskFolder) settleFolder(node, chance)
    else settleFile(node, chance)
  }
}

function settleFile(file: DiskFile, chance: Seeded): void {
  file.cut(chance)
  file.links++
}
