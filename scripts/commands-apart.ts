/**
 * Stands in for agent/cli/program.ts inside the binaries: what reads command lines and configurations is half of the
 * program, and the daemon does not need it, so it is loaded from the binary where it is asked for.
 */
import { getAsset, getRawAsset } from 'node:sea'
import type { runProgram as run } from '../agent/cli/program.ts'
import { loadCommands, scriptOf } from './commands-script.ts'

export const runProgram: typeof run = (args, terminal) => {
  const script = scriptOf(getAsset('commands', 'utf8'), new Uint8Array(getRawAsset('commands-cache')))
  return loadCommands(script).runProgram(args, terminal)
}
