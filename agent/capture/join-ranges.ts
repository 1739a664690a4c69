import type { Queue } from '../queue/queue.ts'
import type { OpenFile } from '../world.ts'
import type { Generation } from './generation.ts'
import type { OpenFiles } from './open-files.ts'

/** Then others have their turn. */
const mostAtOnce = 16

/**
 * Has the index join what a file was shipped in, where that is many small pieces, as of a log of a line a second: what is kept of
 * it then grows with its bytes, and not with its lines. To be called in the file's turn, which it gives up when somebody wants that.
 */
export async function joinRanges(
  generation: Generation,
  openFiles: Pick<OpenFiles, 'borrow'>,
  queue: Pick<Queue, 'joinShipped'>,
  signal: AbortSignal,
): Promise<void> {
  const { stream } = generation.label
  // Where nothing is to be joined, no file that is shut is opened for it.
  const read = async (offset: number, bytes: number): Promise<Uint8Array> => {
    const file = await openFiles.borrow(generation)
    return file ? readWhole(file, offset, bytes) : new Uint8Array()
  }
  for (let joined = 0; joined < mostAtOnce && !generation.isWanted && !signal.aborted; joined++) {
    const { from, isMore } = await queue.joinShipped(stream, generation.joinedTo, read)
    generation.joinedTo = from
    if (isMore) continue
    generation.looseRanges = 0
    return
  }
}

async function readWhole(file: OpenFile, offset: number, bytes: number): Promise<Uint8Array> {
  const into = new Uint8Array(bytes)
  for (let done = 0; done < bytes;) {
    const count = await file.read(into.subarray(done), offset + done)
    if (count === 0) return into.subarray(0, done)
    done += count
  }
  return into
}
