import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { isSea } from 'node:sea'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setFlagsFromString } from 'node:v8'
import { exits } from '../protocol/fault.ts'
import { errorText } from './cli/exit-status.ts'
import type { Terminal } from './cli/terminal.ts'
import { agentFault } from './faults.ts'

const isCapable = process.env['TERM'] !== 'dumb'
/** What a process of this program is called that hands the configuration over: nobody else starts one by this name. */
const checkName = 'logbox-agent-check'
const handOverDescriptor = 3
/**
 * What costs the agent CPU is native code; what V8's optimizing compilers would add is 6 MiB. Left to itself V8 also lets the
 * heap grow to twice what is alive before it collects; what waits for that would be 8 MiB more on a long run. Said here and
 * not where the program starts, because V8 refuses all code caches that were made with other flags, and the daemon's was.
 */
const leanFlags = ['--no-turbofan', '--no-maglev', '--heap-growing-percent=25']
/** Set where this program cannot start itself, as under an emulator. */
const hereVariable = 'LOGBOX_ONE_PROCESS'

const terminal: Terminal = {
  env: process.env,
  print: (text) => void process.stdout.write(text),
  tell: (text) => void process.stderr.write(text),
  hasColor: process.stdout.isTTY && isCapable && !process.env['NO_COLOR'],
  canRedraw: process.stderr.isTTY && isCapable,
  columns: () => process.stderr.columns || 80,
  nowMs: () => performance.now(),
  handOver: (config) => void writeSync(handOverDescriptor, config),
}

/**
 * The agent holds nothing of what reads command lines and configurations, which would be an eighth of its memory: a second
 * process of this program does that, tells what is wrong, hands over the checked configuration and is gone.
 */
async function runAgent(args: readonly string[]): Promise<number> {
  const stopping = untilStopped()
  const { status, config } = (await checkElsewhere(args, stopping)) ?? (await checkHere(args))
  // A configuration that is wrong, or a call for help.
  if (config === '') return status
  const { takeOver } = await import('./take-over.ts')
  for (const flag of leanFlags) setFlagsFromString(flag)
  return takeOver(config, terminal, stopping)
}

/** What the check said, and the configuration where it is good; empty where it is not. */
interface Checked {
  readonly status: number
  readonly config: string
}

const stopped: Checked = { status: exits.done, config: '' }

/** Undefined where no second process is to be had, or to be had any longer. Ends at once when the signal fires. */
async function checkElsewhere(args: readonly string[], signal: AbortSignal): Promise<Checked | undefined> {
  if (process.env[hereVariable] !== undefined) return undefined
  const [, script = ''] = process.argv
  const child = spawn(process.execPath, isSea() ? args : [...process.execArgv, script, ...args], {
    argv0: checkName,
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  })
  try {
    const [config, [status, killedBy]] = await Promise.all([
      text(child.stdio[handOverDescriptor] as Readable),
      once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>,
    ])
    if (status !== null) return { status, config }
    // Ctrl-C goes to both. Who is killed otherwise, as where memory is short, leaves the work to this process alone.
    return killedBy === 'SIGINT' || killedBy === 'SIGTERM' ? stopped : undefined
  } catch {
    return signal.aborted ? stopped : undefined
  }
}

async function checkHere(args: readonly string[]): Promise<Checked> {
  const { runProgram } = await import('./cli/program.ts')
  let config = ''
  const status = await runProgram(args, { ...terminal, handOver: (text) => (config = text) })
  return { status, config }
}

async function runCommand(args: readonly string[]): Promise<number> {
  const { runProgram } = await import('./cli/program.ts')
  return runProgram(args, terminal)
}

/** Fires at the first SIGTERM or SIGINT; a second one ends the process at once. */
function untilStopped(): AbortSignal {
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopOrLeave(stopping))
  return stopping.signal
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

const args = process.argv.slice(2)
// Wherever the word stands: what turns out to be another command is done by the second process.
const isAgent = args.includes('run') && process.argv0 !== checkName
const work = isAgent ? runAgent(args) : runCommand(args)
work.then((status) => {
  process.exitCode = status
}, leaveOnBug)
