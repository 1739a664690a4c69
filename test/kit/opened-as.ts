import type { Files, OpenFile } from '../../agent/world.ts'

/** Files that, once they are opened, do as `change` says, and else what they always do. */
export function openedAs(
  change: (file: OpenFile, path: string) => Partial<OpenFile>,
): (real: Files) => Files {
  return (real) => ({
    ...real,
    openToRead: async (path) => {
      const file = await real.openToRead(path)
      return {
        read: (into, position) => file.read(into, position),
        write: (pieces, position) => file.write(pieces, position),
        sync: () => file.sync(),
        facts: () => file.facts(),
        [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
        ...change(file, Buffer.from(path).toString()),
      }
    },
  })
}
