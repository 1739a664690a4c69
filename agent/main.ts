import { exits } from '../protocol/fault.ts'
import { errorText, runProgram } from './cli/program.ts'
import type { Terminal } from './cli/terminal.ts'
import { agentFault } from './faults.ts'

const isCapable = process.env['TERM'] !== 'dumb'

const terminal: Terminal = {
  env: process.env,
  print: (text) => void process.stdout.write(text),
  tell: (text) => void process.stderr.write(text),
  hasColor: process.stdout.isTTY && isCapable && !process.env['NO_COLOR'],
  canRedraw: process.stderr.isTTY && isCapable,
  columns: () => process.stderr.columns || 80,
  nowMs: () => performance.now(),
  untilStopped: () => {
    const stopping = new AbortController()
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopOrLeave(stopping))
    return stopping.signal
  },
}

/** The second time it leaves at once, as done: what is queued is on the disk, and what is not is still in its file. */
function stopOrLeave(stopping: AbortController): void {
  if (stopping.signal.aborted) process.exit(exits.done)
  stopping.abort()
}

function leaveOnBug(error: unknown): never {
  terminal.tell(errorText(error, terminal))
  process.exit(exits.bug)
}

function leaveOnLostFacts(cause: NodeJS.ErrnoException): void {
  // A reader that has gone, such as `head`, is no error: what was begun goes on, and its exit status tells how it ended.
  if (cause.code === 'EPIPE') return
  const fault = agentFault('OUTPUT_UNWRITABLE', `cannot write the output (${cause.code})`, { cause })
  terminal.tell(errorText(fault, terminal))
  process.exit(fault.kind.exit)
}

process.on('uncaughtException', leaveOnBug)
process.stdout.on('error', leaveOnLostFacts)
// A daemon whose journal is gone still carries its logs.
process.stderr.on('error', () => undefined)

runProgram(process.argv.slice(2), terminal).then((status) => {
  process.exitCode = status
}, leaveOnBug)
