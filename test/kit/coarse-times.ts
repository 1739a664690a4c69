import type { FileFacts, Files, World } from '../../agent/world.ts'
import { changedFile } from './changed-file.ts'

const tickNs = 1_600_000_000_000_000_000n

/** Files whose times are those of one tick, whatever is done to them. */
export function coarseTimes(files: Files): Files {
  return {
    ...files,
    facts: async (path) => coarsely(await files.facts(path)),
    openToRead: async (path) => {
      const file = await files.openToRead(path)
      return changedFile(file, { facts: async () => coarsely(await file.facts()) })
    },
  }
}

/** The same world, whose clock goes so many times as fast, but for its pauses. */
export function atPace(world: World, pace: number): World {
  const { clock } = world
  return { ...world, clock: { ...clock, monotonicMs: () => clock.monotonicMs() * pace } }
}

function coarsely(facts: FileFacts): FileFacts {
  return facts.isFile ? { ...facts, modifiedNs: tickNs, changedNs: tickNs } : facts
}
