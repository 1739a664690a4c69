import type { Journal } from '../../agent/journal.ts'
import type { Clock } from '../../agent/clock.ts'
import { realWorld, type Chance, type Files, type Index, type World } from '../../agent/world.ts'
import { Doorbell } from '../../agent/doorbell.ts'
import type { Surroundings } from '../../agent/surroundings.ts'
import type { ClockState } from '../../protocol/manifest.ts'
import { changedFile } from './changed-file.ts'
import { Seeded } from './seeded.ts'

/** Time that stands still until it is told to go on. */
export class FakeClock implements Clock {
  readonly bootId = new Uint8Array(16).fill(9)
  #nowMs = 1000
  readonly #sleepers = new Set<{ readonly untilMs: number; readonly wake: () => void }>()
  readonly #watchers = new Set<() => void>()

  monotonicMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return 1_790_000_000_000 + this.#nowMs
  }

  async wallState(): Promise<ClockState> {
    return 'synchronized'
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const wake = (): void => {
        this.#sleepers.delete(sleeper)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const sleeper = { untilMs: this.#nowMs + ms, wake }
      this.#sleepers.add(sleeper)
      signal.addEventListener('abort', wake)
      for (const watch of this.#watchers) watch()
    })
  }

  /** When the first of those who sleep wakes; undefined when none will. */
  get nextMs(): number | undefined {
    const times = [...this.#sleepers].map(({ untilMs }) => untilMs).filter(Number.isFinite)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  /** Resolves once somebody sleeps who will wake by time. */
  async someoneSleeps(): Promise<void> {
    if (this.nextMs !== undefined) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const watch = (): void => {
      if (this.nextMs !== undefined) resolve()
    }
    this.#watchers.add(watch)
    await promise
    this.#watchers.delete(watch)
  }

  advance(ms: number): void {
    const end = this.#nowMs + ms
    for (let next = this.nextMs; next !== undefined && next <= end; next = this.nextMs) {
      this.#nowMs = Math.max(this.#nowMs, next)
      for (const { untilMs, wake } of this.#sleepers) if (untilMs <= this.#nowMs) wake()
    }
    this.#nowMs = end
  }

  /** Waits until somebody sleeps, then moves on to where the first wakes. Returns how long that was. */
  async skip(): Promise<number> {
    await this.someoneSleeps()
    const ms = Math.max(0, (this.nextMs ?? this.#nowMs) - this.#nowMs)
    this.advance(ms)
    return ms
  }
}

export interface Fact {
  readonly name: keyof Journal
  readonly fields: readonly unknown[]
}

/** Remembers what it was told, and lets a test wait for it. */
export class RecordingJournal {
  readonly facts: Fact[] = []
  readonly journal: Journal
  /** The fields of the facts, by name: looked through after each of thousands. */
  readonly #named = new Map<keyof Journal, (readonly unknown[])[]>()
  readonly #watchers = new Set<() => void>()

  constructor() {
    const tell =
      (name: keyof Journal) =>
      (...fields: unknown[]): void => {
        this.facts.push({ name, fields })
        this.#allNamed(name).push(fields)
        for (const watch of this.#watchers) watch()
      }
    this.journal = new Proxy({} as Journal, { get: (_, name) => tell(name as keyof Journal) })
  }

  named(name: keyof Journal): readonly (readonly unknown[])[] {
    return [...this.#allNamed(name)]
  }

  #allNamed(name: keyof Journal): (readonly unknown[])[] {
    const known = this.#named.get(name) ?? []
    this.#named.set(name, known)
    return known
  }

  /** Resolves with the fields of the `count`th fact of this name, once it was told. */
  async told(name: keyof Journal, count = 1): Promise<readonly unknown[]> {
    const { promise, resolve } = Promise.withResolvers<readonly unknown[]>()
    const watch = (): void => {
      const fields = this.#allNamed(name)[count - 1]
      if (fields) resolve(fields)
    }
    this.#watchers.add(watch)
    watch()
    const fields = await promise
    this.#watchers.delete(watch)
    return fields
  }
}

/** What a disk is asked to do. */
export type DiskStep =
  | 'create'
  | 'write'
  | 'sync'
  | 'syncDirectory'
  | 'remove'
  | 'rename'
  | 'freeBytes'
  | 'openIndex'
  | 'indexWrite'
  | 'indexRead'

/** A disk that refuses one kind of step while it is told to. */
export class BadDisk {
  /** The steps that fail, each with the code of its failure. */
  readonly failing = new Map<DiskStep, string>()
  /** How often a step failed. */
  failures = 0
  /** What it says it has free; undefined: as it is. */
  freeBytes: number | undefined
  /** Steps that fail although they were done, as when the answer of the disk is lost. */
  doesIt = false

  async refuse(step: DiskStep): Promise<void> {
    const code = this.failing.get(step)
    if (code === undefined) return
    this.failures++
    throw Object.assign(new Error(`${code}: injected, ${step}`), { code })
  }

  /** Does the work, unless the disk refuses. */
  async run<T>(step: DiskStep, work: () => Promise<T>): Promise<T> {
    if (this.doesIt && this.failing.has(step)) await work()
    await this.refuse(step)
    return work()
  }
}

function badFiles(files: Files, disk: BadDisk): Files {
  return {
    ...files,
    create: async (path) => {
      const file = await disk.run('create', () => files.create(path))
      return changedFile(file, {
        write: (pieces, position) => disk.run('write', () => file.write(pieces, position)),
        sync: () => disk.run('sync', () => file.sync()),
      })
    },
    freeBytes: (path) => disk.run('freeBytes', async () => disk.freeBytes ?? files.freeBytes(path)),
    rename: (from, to) => disk.run('rename', () => files.rename(from, to)),
    remove: (path) => disk.run('remove', () => files.remove(path)),
    syncDirectory: (path) => disk.run('syncDirectory', () => files.syncDirectory(path)),
  }
}

async function badIndex(index: Index, disk: BadDisk): Promise<Index> {
  return new Proxy(index, {
    get: (target, name) => {
      if (name === 'batch') {
        return (...args: Parameters<Index['batch']>) =>
          disk.run('indexWrite', () => (target.batch as (...given: unknown[]) => Promise<void>)(...args))
      }
      if (name === 'iterator') {
        return (...args: Parameters<Index['iterator']>) => {
          const iterator = target.iterator(...args)
          return { all: () => disk.run('indexRead', () => iterator.all()) }
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** They change when a test says so. */
export class FakeSurroundings implements Surroundings {
  readonly #bell = new Doorbell()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  change(): void {
    this.#bell.ring()
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.#bell.waitBeyond(this.#bell.rings, Infinity, this.#clock, signal)
  }
}

export interface FakeWorld extends World {
  readonly surroundings: FakeSurroundings
  readonly clock: FakeClock
  readonly told: RecordingJournal
  readonly disk: BadDisk
}

/** Real files and a real LevelDB; time, chance and the journal are the test's, and the disk fails when it is told to. */
export function fakeWorld(seed = 1): FakeWorld {
  const real = realWorld()
  const clock = new FakeClock()
  const told = new RecordingJournal()
  const disk = new BadDisk()
  const chance: Chance = new Seeded(seed)
  return {
    clock,
    told,
    disk,
    chance,
    surroundings: new FakeSurroundings(clock),
    journal: told.journal,
    files: badFiles(real.files, disk),
    processId: process.pid,
    releaseMemory: () => undefined,
    openIndex: async (directory) => {
      await disk.refuse('openIndex')
      return badIndex(await real.openIndex(directory), disk)
    },
  }
}

/** Lets time pass until it settles: fast enough for a test, and in the order in which the agent would see it: real work, then time. */
export async function skipUntil<T>(world: FakeWorld, promise: Promise<T>): Promise<T> {
  const over = promise.then(() => true)
  const slept = async (): Promise<boolean> => world.clock.someoneSleeps().then(() => false)
  while (!(await Promise.race([over, slept()]))) world.clock.advance(1000)
  return promise
}
