import { isDiskError } from './disk-error.ts'
import type { Generation } from './generation.ts'
import { identityKey, identityOf } from './identity.ts'
import type { OpenFiles } from './open-files.ts'
import { takeTurn, type CaptureParts } from './take-turn.ts'

/**
 * Reads a file once more before its handle is closed for good, to the end that it has now: where its path does not lead to it any
 * more, the next life would not find it. What can be found again waits in its file.
 */
export async function readLast(
  generation: Generation,
  openFiles: OpenFiles,
  parts: CaptureParts,
): Promise<void> {
  const file = openFiles.peek(generation)
  if (!file || (await isFound(generation, parts))) return
  try {
    const { size } = await file.facts()
    for (let isMore = true; isMore && generation.readTo < size;) {
      const { is } = await takeTurn(generation, file, parts, parts.patience)
      isMore = is === 'more' && !parts.patience.aborted
    }
  } catch (cause) {
    if (!isDiskError(cause)) throw cause
  }
}

async function isFound({ path, isListed, key }: Generation, { files }: CaptureParts): Promise<boolean> {
  if (!isListed) return false
  try {
    return identityKey(identityOf(await files.facts(path))) === key
  } catch (cause) {
    if (!isDiskError(cause)) throw cause
    return false
  }
}
