import yargs, { type Argv } from 'yargs'
import pkg from '../../package.json' with { type: 'json' }
import { exits, Fault, faultLine } from '../../protocol/fault.ts'
import { parseStreamId } from '../../protocol/ids.ts'
import { showLine, showText } from '../../protocol/show-text.ts'
import { serverFault } from '../faults.ts'
import { cat } from './cat.ts'
import { moduleOf, operandMark, type Command } from './command.ts'
import { addDevice, listDevices, revokeDevice } from './device.ts'
import { files } from './files.ts'
import { key } from './key.ts'
import { serve } from './serve.ts'
import { streamPrefix } from '../query/find-stream.ts'
import type { Terminal } from './terminal.ts'
import { verify } from './verify.ts'

const name = 'logbox-server'
const widestHelp = 110

/** Does what the arguments say and returns the exit status. Every error has become a line on stderr. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  let status: number = exits.done
  try {
    await commandLine(args, terminal, (found) => {
      status = found
    }).parseAsync()
    return status
  } catch (thrown) {
    // A reader that has gone, such as `head`, has what it wanted.
    if (errorCode(thrown) === 'EPIPE') return exits.done
    const error = toFault(thrown)
    terminal.tell(errorText(error, terminal))
    return error instanceof Fault ? error.kind.exit : exits.bug
  }
}

function commandLine(args: readonly string[], terminal: Terminal, end: (status: number) => void): Argv {
  const add = (yargs: Argv, command: Command): Argv => yargs.command(moduleOf(command, terminal, end))
  const device = (yargs: Argv): Argv =>
    [addDevice, listDevices, revokeDevice]
      .reduce(add, yargs)
      .demandCommand(1, 'name one of add, list, revoke')
  const start: Argv = yargs(markOperands(args).map(guardDashedId))
    .scriptName(name)
    .usage('$0 <command>\n\nTakes in the logs of drones, and gives them back byte for byte.')
    .locale('en')
    .wrap(Math.min(terminal.columns(), widestHelp))
    .parserConfiguration({
      'dot-notation': false,
      'camel-case-expansion': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'boolean-negation': false,
      'duplicate-arguments-array': false,
      // A key or a stream id may start with "-".
      'unknown-options-as-args': true,
    })
  return [serve, key, files, cat, verify]
    .reduce(add, start)
    .command('device', 'the register of device keys', device)
    .example('$0 serve --data /var/lib/logbox-server', '')
    .version(pkg.version)
    .alias('help', 'h')
    .strict()
    .demandCommand(1, 'name a command: serve, key, device, files, cat or verify')
    .exitProcess(false)
    .fail((message, error: unknown) => {
      throw error ?? serverFault('USAGE_WRONG', showText(message.replaceAll(operandMark, '')))
    })
}

/** What follows "--" is no flag. The library would set it apart from the arguments of the command. */
function markOperands(args: readonly string[]): string[] {
  const end = args.indexOf('--')
  if (end < 0) return [...args]
  const operands = args.slice(end + 1).map((arg) => (arg.startsWith('-') ? `${operandMark}${arg}` : arg))
  return [...args.slice(0, end), ...operands]
}

/** One stream id in 64 starts with "-", which the library reads as a flag wherever it stands. */
function guardDashedId(arg: string): string {
  return arg.startsWith('-') && parseStreamId(arg) !== undefined ? `${streamPrefix}${arg}` : arg
}

/** The library throws its own where a builder is awaited, past `fail`. */
function toFault(error: unknown): unknown {
  if (error instanceof Error && error.name === 'YError')
    return serverFault('USAGE_WRONG', showText(error.message))
  return error
}

/** One line an error. The stack of it is for those who ask with LOGBOX_DEBUG=1. */
export function errorText(error: unknown, { env }: Pick<Terminal, 'env'>): string {
  const line = error instanceof Fault ? faultLine(error) : bugLine(error)
  const stack = env['LOGBOX_DEBUG'] === '1' && error instanceof Error ? `${error.stack ?? ''}\n` : ''
  return `${name}: ${showLine(line)}\n${stack}`
}

function bugLine(error: unknown): string {
  const says = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return `a bug: ${says}: report it, with what LOGBOX_DEBUG=1 prints`
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
