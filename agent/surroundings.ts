import type { Clock } from './clock.ts'

/** What may make it worth trying the link again. */
export interface Surroundings {
  /** Resolves when addresses, routes or the wall clock have changed, or when the signal fires. Costs nothing unless asked. */
  changed(signal: AbortSignal): Promise<void>
}

const lookEveryMs = 1000
/** Time servers move a clock by less than this at a time; a person, GPS and the first answer by more. */
const clockStepMs = 2000
/** Small, and made by the kernel on reading: routes over IPv4, and addresses over IPv6, whose routes count their users. */
const tables = ['/proc/net/route', '/proc/net/if_inet6']

/**
 * Looks once a second while somebody waits for it, which is while delivery pauses. A listener on netlink would be a child
 * process (`ip monitor`), there all the time and not on every drone, to save a read of two small tables a second.
 */
export function watchedSurroundings(
  clock: Clock,
  read: (path: string) => Promise<Uint8Array | undefined>,
): Surroundings {
  return {
    changed: async (signal) => {
      const network = await readNetwork(read)
      const offsetMs = clock.wallMs() - clock.monotonicMs()
      while (!signal.aborted) {
        await clock.sleep(lookEveryMs, signal)
        if (signal.aborted) return
        if (Math.abs(clock.wallMs() - clock.monotonicMs() - offsetMs) > clockStepMs) return
        if ((await readNetwork(read)) !== network) return
      }
    },
  }
}

/** Where a table is not there, or not shown, the others have to do. */
async function readNetwork(read: (path: string) => Promise<Uint8Array | undefined>): Promise<string> {
  const texts = await Promise.all(tables.map((path) => read(path).catch(() => undefined)))
  return texts.map((text) => (text ? Buffer.from(text).toString('latin1') : '')).join('\n')
}
