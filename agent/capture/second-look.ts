import type { Clock } from '../clock.ts'
import type { FileFacts, OpenFile } from '../world.ts'

/** A file that seems to be shorter is looked at again after this long: NFS may tell a size that was true before. */
export const secondLookMs = 10

/** What is said of a file that had `size` bytes: that it is shorter counts once it was told twice. */
export async function factsOf(
  file: OpenFile,
  size: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<FileFacts> {
  const facts = await file.facts()
  if (facts.size >= size) return facts
  await clock.sleep(secondLookMs, signal)
  return file.facts()
}
