import type { Files } from '../world.ts'

/**
 * What Node, LevelDB, up to nine connections to the server, those of the control socket, and what is opened for a moment
 * take: seen are 28 at rest and 41 in full work.
 */
const ownHandles = 56
/** Fewer would have a file opened again for every chunk of it. */
const fewest = 4

/** How many handles this process may have (proc(5), `ulimit -n`; Node raises the soft limit to the hard one at its start). */
export async function handleLimit({ readWhole }: Pick<Files, 'readWhole'>): Promise<number> {
  // A system that does not say it has its limits found when they are met.
  const limits = await readWhole('/proc/self/limits').catch(() => undefined)
  const line = /^Max open files +(\d+)/m.exec(Buffer.from(limits ?? []).toString())
  return line ? Number(line[1]) : Infinity
}

/**
 * How many log files may be held open, of those that are wanted, while the queue holds so many of its own: who has no handle
 * left takes no connection, `flush` among them, and begins no segment.
 */
export function spareHandles(wanted: number, limit: number, queueHandles: number): number {
  return Math.min(wanted, Math.max(fewest, limit - ownHandles - queueHandles))
}
