import { exits } from '../protocol/fault.ts'
import { errorText, runProgram } from './cli/program.ts'
import type { Terminal } from './cli/terminal.ts'
import { serverFault } from './faults.ts'

const terminal: Terminal = {
  env: process.env,
  print: (facts) =>
    new Promise((resolve, reject) => {
      process.stdout.write(facts, (cause) => (cause ? reject(outputFault(cause)) : resolve()))
    }),
  tell: (text) => void process.stderr.write(text),
  columns: () => process.stderr.columns || 80,
  untilStopped: () => {
    const stopping = new AbortController()
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopOrLeave(stopping))
    return stopping.signal
  },
}

/** The second time it leaves at once: what has a receipt is on the disk, and what has none the drone sends again. */
function stopOrLeave(stopping: AbortController): void {
  if (stopping.signal.aborted) process.exit(exits.done)
  stopping.abort()
}

function outputFault(cause: NodeJS.ErrnoException): Error {
  if (cause.code === 'EPIPE') return cause
  return serverFault('OUTPUT_FAILED', `cannot write the output (${cause.code})`, { cause })
}

function leaveOnBug(error: unknown): never {
  terminal.tell(errorText(error, terminal))
  process.exit(exits.bug)
}

process.on('uncaughtException', leaveOnBug)
// Whoever printed is told by its own callback; a server whose journal is gone still serves.
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)

runProgram(process.argv.slice(2), terminal).then((status) => {
  process.exitCode = status
}, leaveOnBug)
