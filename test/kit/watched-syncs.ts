import { readlinkSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

type Sync = (this: FileHandle) => Promise<void>

/**
 * Until it is disposed of, each sync of a file or folder of this process goes through `around`, with the path that the
 * kernel knows it by. No test can pull the plug of the real disk: this is how one sees that it was asked.
 */
export async function watchSyncs(
  around: (path: string, sync: () => Promise<void>) => Promise<void>,
): Promise<Disposable> {
  await using any = await open('/', 'r')
  const prototype = Object.getPrototypeOf(any) as { sync: Sync; datasync: Sync }
  const { sync, datasync } = prototype
  const watched = (original: Sync): Sync =>
    function (this: FileHandle) {
      return around(readlinkSync(`/proc/self/fd/${this.fd}`), () => original.call(this))
    }
  Object.assign(prototype, { sync: watched(sync), datasync: watched(datasync) })
  return { [Symbol.dispose]: () => void Object.assign(prototype, { sync, datasync }) }
}
