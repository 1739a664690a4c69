import { watch } from 'chokidar'
import type { FileSearch } from './find-files.ts'

export interface WatchEvents {
  /** The file may have grown. */
  changed(path: string): void
  /** Files came, went, or were renamed. */
  rearranged(): void
  /** The kernel refuses to watch: what happens is only found by the slow look. */
  trouble(cause: unknown): void
}

/** Tells at once, by inotify, what the slow look would find later. It may miss things, and nothing depends on it. */
export function watchFolders(search: FileSearch, events: WatchEvents): AsyncDisposable {
  const watchers = [...search.directories].map(([directory, depth]) => {
    const watcher = watch(directory, {
      ignoreInitial: true,
      ...(Number.isFinite(depth) ? { depth } : {}),
      ignored: (path, stats) => stats?.isFile() === true && !search.matches(path),
    })
    watcher.on('all', (event, path) => (event === 'change' ? events.changed(path) : events.rearranged()))
    watcher.on('error', (cause) => events.trouble(cause))
    return watcher
  })
  return {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(watchers.map((watcher) => watcher.close()))
    },
  }
}
