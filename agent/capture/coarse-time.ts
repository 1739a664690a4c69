import type { FileFacts } from '../world.ts'

const nsPerSecond = 1_000_000_000n
/** The longest tick of a file system's times that is known: FAT's two seconds, and what the kernel's clock is late. */
const tickMs = 2050

/** For how long, after it was first seen, another write may come that leaves the same time of modification. */
export function tickMsOf({ modifiedNs }: Pick<FileFacts, 'modifiedNs'>): number {
  return modifiedNs % nsPerSecond === 0n ? tickMs : 0
}
