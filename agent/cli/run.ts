import type { Argv, CommandModule } from 'yargs'
import { configOption } from './options.ts'
import type { Terminal } from './terminal.ts'

interface RunArguments {
  readonly config: string
  /** A flag a setting. */
  readonly [flag: string]: unknown
}

export function runCommand(terminal: Terminal): CommandModule<object, RunArguments> {
  return {
    command: 'run',
    describe: 'Watch log files and deliver them, until stopped',
    // Awaited, because only this command needs the schema here, which is not small.
    builder: addOptions,
    handler: (argv) => run(argv, terminal),
  }
}

async function addOptions(yargs: Argv): Promise<Argv<RunArguments>> {
  const { settings, showDefault } = await import('../settings.ts')
  for (const setting of settings) {
    yargs.option(setting.flag, {
      group: 'Settings, as in the configuration:',
      type: 'string',
      requiresArg: true,
      describe: `${setting.path.join('.')}: ${setting.expected}`,
      defaultDescription: showDefault(setting.default),
    })
  }
  return yargs
    .option('config', { ...configOption, demandOption: true })
    .example('$0 run --config /etc/logbox/agent.yaml', '')
    .epilogue('SIGTERM or SIGINT stops it: what was read is queued first. A second one ends it at once.')
}

/** Checks, and leaves the work to the process that asked for it: see main.ts. */
async function run(argv: RunArguments, terminal: Terminal): Promise<void> {
  const { loadConfig } = await import('../load-config.ts')
  const { checkSigner } = await import('../check-signer.ts')
  const { packConfig } = await import('../hand-over.ts')
  const config = loadConfig(argv.config, { env: terminal.env, flags: givenFlags(argv) })
  checkSigner(config.keyFile)
  terminal.handOver(packConfig(config))
}

/** What the configuration does not know, such as --config itself, it does not ask for. */
function givenFlags(argv: RunArguments): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(argv).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
