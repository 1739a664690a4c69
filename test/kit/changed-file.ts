import type { OpenFile } from '../../agent/world.ts'

/** A file that does as `change` says, and else what it always does. */
export function changedFile(file: OpenFile, change: Partial<OpenFile>): OpenFile {
  return {
    facts: () => file.facts(),
    read: (into, position) => file.read(into, position),
    write: (pieces, position) => file.write(pieces, position),
    sync: () => file.sync(),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    ...change,
  }
}
