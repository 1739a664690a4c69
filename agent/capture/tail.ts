import type { Doorbell } from '../doorbell.ts'
import type { Clock } from '../clock.ts'
import type { OpenFile } from '../world.ts'

/** What a look at a growing file found. */
export type Slice =
  /** `count` bytes were read into the room that was asked for. */
  | { readonly is: 'bytes'; readonly count: number; readonly size: number }
  /** Everything there was has been read. */
  | { readonly is: 'end'; readonly size: number; readonly links: number }
  /** The file is shorter than what was read of it: it was truncated. The tail ends here. */
  | { readonly is: 'shrunk'; readonly size: number }

export interface TailOptions {
  /** Where the next bytes go. When it is empty, the tail ends. */
  readonly room: (signal: AbortSignal) => Promise<Uint8Array>
  /** Rung when the file may have changed. */
  readonly bell: Doorbell
  /** How long to wait at the end of the file for a ring. */
  readonly waitMs: () => number
  readonly clock: Clock
}

/** Follows a file from `position` on, for ever; stops quietly when the signal fires. Reads only when asked for a slice. */
export async function* tail(
  file: OpenFile,
  position: number,
  { room, bell, waitMs, clock }: TailOptions,
  signal: AbortSignal,
): AsyncGenerator<Slice, void, undefined> {
  let at = position
  while (!signal.aborted) {
    const seen = bell.rings
    const { size, links } = await file.facts()
    if (size < at) return yield { is: 'shrunk', size }
    const count = size > at ? await readInto(await room(signal), file, at) : 0
    at += count
    if (count > 0) {
      yield { is: 'bytes', count, size }
      continue
    }
    yield { is: 'end', size, links }
    await bell.waitBeyond(seen, waitMs(), clock, signal)
  }
}

function readInto(room: Uint8Array, file: OpenFile, position: number): Promise<number> | number {
  return room.length > 0 ? file.read(room, position) : 0
}
