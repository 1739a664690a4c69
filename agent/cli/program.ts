import yargs from 'yargs'
import pkg from '../../package.json' with { type: 'json' }
import { showText } from '../../protocol/show-text.ts'
import { agentFault } from '../faults.ts'
import { exitStatusOf, programName } from './exit-status.ts'
import { flushCommand } from './flush.ts'
import { keygenCommand } from './keygen.ts'
import { runCommand } from './run.ts'
import { statusCommand } from './status.ts'
import type { Terminal } from './terminal.ts'

const widestHelp = 110

/** Does what the arguments say and returns the exit status. Every error has become a line on stderr. */
export function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  return exitStatusOf(() => commandLine(args, terminal).parseAsync(), terminal)
}

function commandLine(args: readonly string[], terminal: Terminal) {
  return yargs([...args])
    .scriptName(programName)
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
