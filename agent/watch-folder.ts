import { isUtf8 } from 'node:buffer'
import { watch } from 'chokidar'

/** What the kernel says of the things in a folder. It may leave things out. */
export interface Hearing {
  /** The file's bytes, or what is known of it, changed. */
  changed(name: Uint8Array): void
  /** Something came, went, or was renamed. */
  rearranged(name: Uint8Array): void
  /** Nothing more is heard. */
  failed(cause: unknown): void
}

/**
 * Resolves once the kernel tells of a folder; rejects where it refuses. One inotify watch, however many files are in it:
 * chokidar is to look after the folder alone, and what it hears of the files is passed on as it comes.
 */
export async function watchFolder(directory: Uint8Array, heard: Hearing): Promise<AsyncDisposable> {
  if (!isUtf8(directory)) throw new Error('the name of the folder is not UTF-8, so that it cannot be watched')
  const folder = Buffer.from(directory).toString()
  // Whatever is longer is inside of it.
  const ignored = (path: string): boolean => path.length > folder.length
  const watcher = watch(folder, { depth: 0, ignoreInitial: true, atomic: false, ignored })
  watcher.on('raw', (event, name) => {
    // A name that is not UTF-8 comes damaged: it is then one of no file that is known, which has all of them looked at.
    const bytes = Buffer.from(name ?? '')
    if (event === 'change') heard.changed(bytes)
    else heard.rearranged(bytes)
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  watcher.on('ready', resolve)
  watcher.on('error', reject)
  try {
    await promise
    watcher.on('error', (cause) => heard.failed(cause))
  } catch (cause) {
    await watcher.close()
    throw cause
  }
  return { [Symbol.asyncDispose]: () => watcher.close() }
}
