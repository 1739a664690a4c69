import type { Files, OpenFile } from '../../agent/world.ts'
import { changedFile } from './changed-file.ts'

/** Files that, once they are opened, do as `change` says, and else what they always do. */
export function openedAs(
  change: (file: OpenFile, path: string) => Partial<OpenFile>,
): (real: Files) => Files {
  return (real) => ({
    ...real,
    openToRead: async (path) => {
      const file = await real.openToRead(path)
      return changedFile(file, change(file, Buffer.from(path).toString()))
    },
  })
}
