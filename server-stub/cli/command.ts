import type { Argv, CommandModule } from 'yargs'
import { base64url, parseDeviceId, sha256, type DeviceId } from '../../protocol/ids.ts'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import { showText } from '../../protocol/show-text.ts'
import { readSettings, settings, variableOf, type SettingName } from '../config.ts'
import { serverFault } from '../faults.ts'
import type { Terminal } from './terminal.ts'

/** The arguments of a command: all of them text or yes, as they stand on the command line. */
export type Arguments = Readonly<Record<string, unknown>>

export interface Command {
  readonly usage: string
  readonly describe: string
  /** Adds the flags and an example. */
  readonly flags: (yargs: Argv) => Argv
  /** Resolves to the exit status. */
  readonly run: (args: Arguments, terminal: Terminal) => Promise<number>
}

/** The command as yargs takes it. */
export function moduleOf(
  command: Command,
  terminal: Terminal,
  end: (status: number) => void,
): CommandModule<object, object> {
  const handler = async (args: Arguments): Promise<void> => end(await command.run(args, terminal))
  return { command: command.usage, describe: command.describe, builder: command.flags, handler }
}

/** The flag of a setting. Its default is applied by config.ts, which also asks the environment. */
export function settingFlag(yargs: Argv, name: SettingName): Argv {
  const { description, default: value } = settings[name] as unknown as Described
  const preset = value === undefined ? '' : `, default ${value}`
  const describe = `${description} [${variableOf(name)}${preset}]`
  return yargs.option(name, { type: 'string', requiresArg: true, describe })
}

interface Described {
  readonly description: string
  readonly default?: string | number
}

export const jsonFlag = (yargs: Argv): Argv =>
  yargs.option('json', { type: 'boolean', describe: 'print facts as JSON' })

/** From --data, else from the environment. Throws a Fault where neither names one. */
export function dataFolder(args: Arguments, { env }: Terminal): string {
  return readSettings(['data'], args, env).data
}

/** Stands before an argument that looks like a flag and is none. No argument that the system passes on has a NUL. */
export const operandMark = '\0'

/** Throws USAGE_WRONG where it is missing, empty or given twice. */
export function textArgument(args: Arguments, name: string): string {
  const value = args[name]
  if (typeof value === 'string' && value !== '') return value.replace(operandMark, '')
  throw serverFault('USAGE_WRONG', `${name} is missing, or given twice`)
}

/** Throws DEVICE_NAME_INVALID where the text is no name of a device. */
export function deviceArgument(args: Arguments, name: string): DeviceId {
  const text = textArgument(args, name)
  const device = parseDeviceId(text)
  if (device === undefined) throw serverFault('DEVICE_NAME_INVALID', `"${showText(text)}" is no device name`)
  return device
}

/** By which people compare keys. */
export const fingerprint = (key: PublicKey): string => base64url(sha256(key.bytes))
