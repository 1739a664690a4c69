import { execFile } from 'node:child_process'
import type { GateConfig } from '../delivery-settings.ts'
import type { Clock } from '../clock.ts'
import type { Files } from '../world.ts'
import { Gate, type GateKeeper } from './gate.ts'

const fileEveryMs = 400
const commandEveryMs = 5000
const commandTimeoutMs = 5000

/** The gate of the configuration; undefined where nothing holds delivery back. */
export async function openGate(
  { file, command, mavlink }: GateConfig,
  world: { readonly clock: Clock; readonly files: Files },
): Promise<Gate | undefined> {
  const keepers: GateKeeper[] = []
  if (file !== undefined) keepers.push(fileKeeper(file, world.files))
  if (command !== undefined) keepers.push(commandKeeper(command))
  if (mavlink !== undefined) {
    // Its tables of messages are large: only who wants them loads them.
    const { listenForHeartbeats } = await import('./mavlink-keeper.ts')
    keepers.push(await listenForHeartbeats(mavlink, world.clock))
  }
  return keepers.length === 0 ? undefined : new Gate(keepers, world.clock)
}

/** Closed while the file is there. One that cannot be looked for counts as there. */
export function fileKeeper(path: string, files: Pick<Files, 'facts'>): GateKeeper {
  return {
    everyMs: fileEveryMs,
    closedBy: async () => {
      try {
        await files.facts(path)
        return `${path} is there`
      } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException
        return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : `${path} cannot be looked for (${code})`
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** Closed unless the command ends with status 0 in time. */
export function commandKeeper(command: string, timeoutMs = commandTimeoutMs): GateKeeper {
  return {
    everyMs: commandEveryMs,
    closedBy: (signal) =>
      new Promise((resolve) => {
        const options = { timeout: timeoutMs, killSignal: 'SIGKILL', signal } as const
        execFile('/bin/sh', ['-c', command], options, (error) =>
          resolve(error ? sayEnd(command, error) : undefined),
        )
      }),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function sayEnd(command: string, error: Error): string {
  const { code, killed } = error as Error & { readonly code?: unknown; readonly killed?: boolean }
  const end = killed === true ? 'did not end in time' : `ended with ${String(code)}`
  return `"${command}" ${end}`
}
