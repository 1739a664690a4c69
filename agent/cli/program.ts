import yargs from 'yargs'
import pkg from '../../package.json' with { type: 'json' }
import { exits, Fault, faultLine } from '../../protocol/fault.ts'
import { showText } from '../../protocol/show-text.ts'
import { agentFault } from '../faults.ts'
import { flushCommand } from './flush.ts'
import { keygenCommand } from './keygen.ts'
import { runCommand } from './run.ts'
import { statusCommand } from './status.ts'
import type { Terminal } from './terminal.ts'

const name = 'logbox-agent'
const widestHelp = 110

/** Does what the arguments say and returns the exit status. Every error has become a line on stderr. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await commandLine(args, terminal).parseAsync()
    return exits.done
  } catch (thrown) {
    const error = toFault(thrown)
    terminal.tell(errorText(error, terminal))
    return error instanceof Fault ? error.kind.exit : exits.bug
  }
}

function commandLine(args: readonly string[], terminal: Terminal) {
  return yargs([...args])
    .scriptName(name)
    .usage('$0 <command>\n\nCarries log files off a drone, provably whole.')
    .locale('en')
    .wrap(Math.min(terminal.columns(), widestHelp))
    .parserConfiguration({
      'dot-notation': false,
      'camel-case-expansion': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'boolean-negation': false,
      'duplicate-arguments-array': false,
    })
    .command(keygenCommand(terminal))
    .command(runCommand(terminal))
    .command(flushCommand(terminal))
    .command(statusCommand(terminal))
    .example('$0 keygen --out /var/lib/logbox/device.key', '')
    .version(pkg.version)
    .alias('help', 'h')
    .strict()
    .demandCommand(1, 'name a command: keygen, run, flush or status')
    .exitProcess(false)
    .fail((message, error: unknown) => {
      throw error ?? agentFault('USAGE', showText(message))
    })
}

/** The library throws its own where a builder is awaited, past `fail`. */
function toFault(error: unknown): unknown {
  const isUsage = error instanceof Error && error.name === 'YError'
  return isUsage ? agentFault('USAGE', showText(error.message)) : error
}

/** A line an error. The stack of it is for those who ask with LOGBOX_DEBUG=1. */
export function errorText(error: unknown, terminal: Terminal): string {
  const lines = error instanceof Fault ? faultLines(error) : [bugLine(error)]
  const text = lines.map((line) => `${name}: ${line}\n`).join('')
  return terminal.env['LOGBOX_DEBUG'] === '1' && error instanceof Error ? `${text}${stackOf(error)}\n` : text
}

/** A configuration may have several problems; each line says what to do by itself. */
function faultLines(fault: Fault): readonly string[] {
  const lines = faultLine(fault).split('\n')
  return lines.map((line, index) => (index < lines.length - 1 ? `${line}: ${fault.kind.hint}` : line))
}

function bugLine(error: unknown): string {
  const says = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return `a bug: ${showText(says)}: report it, with what LOGBOX_DEBUG=1 prints`
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}
