import { spawn } from 'node:child_process'
import { kill } from 'node:process'
import type { GateConfig } from '../delivery-settings.ts'
import type { Clock } from '../clock.ts'
import { sayCause } from '../say-cause.ts'
import type { Files } from '../world.ts'
import { firstOf } from './first-of.ts'
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
  if (command !== undefined) keepers.push(commandKeeper(command, world.clock))
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

/**
 * Closed unless the command ends with status 0 in time. What takes longer is killed, with all that it started and did not
 * take away from its process group; the next is not begun before it is gone.
 */
export function commandKeeper(command: string, clock: Clock, timeoutMs = commandTimeoutMs): GateKeeper {
  const late = `"${command}" did not end in time`
  let last: Run | undefined
  return {
    everyMs: commandEveryMs,
    closedBy: async (signal) => {
      if (last?.isAlive) return late
      const run = (last = startCommand(command))
      let end: string | undefined = late
      const ended = async (): Promise<void> => {
        end = await run.ended
      }
      await firstOf([ended, (over) => clock.sleep(timeoutMs, over)], signal)
      run.kill()
      return end
    },
    [Symbol.asyncDispose]: async () => last?.kill(),
  }
}

/** A command in a process group of its own. */
interface Run {
  readonly isAlive: boolean
  /** Why the gate is closed by it. Never rejects. */
  readonly ended: Promise<string | undefined>
  kill(): void
}

function startCommand(command: string): Run {
  const child = spawn('/bin/sh', ['-c', command], { detached: true, stdio: 'ignore' })
  const { promise: ended, resolve } = Promise.withResolvers<string | undefined>()
  let isAlive = true
  const end = (how: string | undefined): void => {
    isAlive = false
    resolve(how === undefined ? undefined : `"${command}" ${how}`)
  }
  child.once('error', (cause) => end(`cannot be started (${sayCause(cause)})`))
  child.once('exit', (status, signal) => end(status === 0 ? undefined : `ended with ${status ?? signal}`))
  return {
    get isAlive() {
      return isAlive
    },
    ended,
    kill: () => {
      // Its number is its own until its end was heard of.
      if (isAlive && child.pid !== undefined) killGroup(child.pid)
    },
  }
}

function killGroup(leader: number): void {
  try {
    kill(-leader, 'SIGKILL')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause
  }
}
