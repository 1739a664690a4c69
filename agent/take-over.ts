import { exitStatusOf } from './cli/exit-status.ts'
import type { Terminal } from './cli/terminal.ts'
import { runDaemon } from './daemon.ts'
import { unpackConfig } from './hand-over.ts'
import { realWorld } from './world.ts'

/** Runs the daemon with a configuration that was handed over, until `stopping` fires. Every error has become a line on stderr. */
export function takeOver(config: string, terminal: Terminal, stopping: AbortSignal): Promise<number> {
  return exitStatusOf(() => runDaemon(unpackConfig(config), realWorld(), stopping), terminal)
}
