import type { Doorbell } from '../doorbell.ts'
import type { Clock } from '../clock.ts'
import type { OpenFile } from '../world.ts'

/** What a look at a growing file found. */
export type Slice =
  /** `count` bytes were read into the room that was asked for. */
  | { readonly is: 'bytes'; readonly count: number; readonly size: number }
  /** Everything there was has been read. */
  | { readonly is: 'end'; readonly size: number }
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
  let size = position
  while (!signal.aborted) {
    const seen = bell.rings
    // While a read fills its room there is more, and nothing needs to be asked.
    const into = await room(signal)
    const count = into.length > 0 ? await file.read(into, at) : 0
    at += count
    const isMore = count > 0 && count === into.length
    const facts = isMore ? undefined : await file.facts()
    size = facts?.size ?? Math.max(size, at)
    if (count > 0) yield { is: 'bytes', count, size }
    if (size > at) continue
    if (size < at) return yield { is: 'shrunk', size }
    if (!facts) continue
    yield { is: 'end', size }
    await bell.waitBeyond(seen, waitMs(), clock, signal)
  }
}
