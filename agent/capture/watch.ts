import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { pathOfKey } from './find-files.ts'
import { identityKey, identityOf } from './identity.ts'
import { isGone } from './open-files.ts'

export interface WatchEvents {
  /** The file may have grown. */
  changed(path: Uint8Array): void
  /** A file came, went, or was renamed. */
  rearranged(path: Uint8Array): void
}

interface Watch {
  readonly identity: string
  readonly hearing: AsyncDisposable
}

/**
 * Tells at once, by inotify, what the slow look would find later: one watch a folder, however many files are in it. It may
 * miss things, and nothing depends on it.
 */
export class FolderWatch implements AsyncDisposable {
  readonly #world: Pick<World, 'files' | 'journal'>
  readonly #events: WatchEvents
  /** By pathKey. */
  readonly #watches = new Map<string, Watch>()
  /** Of which nothing more is heard; they are watched anew. */
  readonly #failed = new Set<string>()
  #kept: ReadonlySet<string> | undefined
  #trouble: string | undefined

  constructor(world: World, events: WatchEvents) {
    this.#world = world
    this.#events = events
  }

  /** Why some changes are found only by the slow look; undefined while all are told at once. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Who tells of what happens in a folder, by pathKey; undefined where nobody does. Another one did not hear what was before. */
  tellerOf(folder: string): object | undefined {
    return this.#failed.has(folder) ? undefined : this.#watches.get(folder)
  }

  /**
   * Watches these folders and no others, as they are now; the very same set once more says that none of them changed.
   * True where one is new: what happened in it before was not heard.
   */
  async keep(folders: ReadonlySet<string>): Promise<boolean> {
    if (folders === this.#kept && this.#failed.size === 0 && this.#trouble === undefined) return false
    this.#kept = folders
    for (const [key, watch] of this.#watches)
      if (!folders.has(key) || this.#failed.has(key)) await this.#drop(key, watch)
    let isNew = false
    let trouble: string | undefined
    for (const key of folders) {
      try {
        isNew = (await this.#watch(key)) || isNew
      } catch (cause) {
        if (!isGone(cause)) trouble = explain(cause)
      }
    }
    this.#tell(trouble)
    return isNew
  }

  async #watch(key: string): Promise<boolean> {
    const path = pathOfKey(key)
    const identity = identityKey(identityOf(await this.#world.files.facts(path)))
    const before = this.#watches.get(key)
    if (before?.identity === identity) return false
    if (before) await this.#drop(key, before)
    const at = (name: Uint8Array): Uint8Array => Buffer.concat([path, Buffer.from('/'), name])
    const hearing = await this.#world.files.watch(path, {
      changed: (name) => this.#events.changed(at(name)),
      rearranged: (name) => this.#events.rearranged(at(name)),
      failed: (cause) => this.#fail(key, cause),
    })
    this.#watches.set(key, { identity, hearing })
    return true
  }

  #fail(key: string, cause: unknown): void {
    if (this.#watches.has(key)) this.#failed.add(key)
    this.#tell(explain(cause))
  }

  #tell(trouble: string | undefined): void {
    if (trouble !== undefined && trouble !== this.#trouble) this.#world.journal.watchTrouble(trouble)
    this.#trouble = trouble
  }

  async #drop(key: string, watch: Watch): Promise<void> {
    this.#watches.delete(key)
    this.#failed.delete(key)
    await watch.hearing[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [key, watch] of this.#watches) await this.#drop(key, watch)
  }
}

/** inotify(7): which limit it is that the kernel tells of. */
function explain(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : ''
  const limit = code === 'ENOSPC' ? 'max_user_watches' : code === 'EMFILE' ? 'max_user_instances' : ''
  if (limit === '') return sayCause(cause)
  return `all inotify watches are in use: raise the sysctl fs.inotify.${limit}; until then changes are found by the rescan`
}
