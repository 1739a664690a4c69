import { resolve } from 'node:path'
import type { Options } from 'yargs'
import { agentFault } from '../faults.ts'
import type { Terminal } from './terminal.ts'

export const configOption = {
  type: 'string',
  requiresArg: true,
  describe: 'The configuration, agent.yaml',
} as const satisfies Options

export const controlOption = {
  type: 'string',
  requiresArg: true,
  describe: 'The control socket, instead of the one in the configuration',
} as const satisfies Options

export const jsonOption = {
  type: 'boolean',
  default: false,
  describe: 'Print JSON',
} as const satisfies Options

export interface SocketArguments {
  readonly config?: string | undefined
  readonly control?: string | undefined
}

/** The control socket that is meant. With --control alone no configuration is needed, nor its variables. */
export async function findSocket({ config, control }: SocketArguments, terminal: Terminal): Promise<string> {
  const { loadConfig, maxSocketPathBytes } = await import('../load-config.ts')
  if (config !== undefined) {
    const flags = new Map(control === undefined ? [] : [['control', control]])
    return loadConfig(config, { env: terminal.env, flags }).controlSocket
  }
  if (control === undefined) throw agentFault('USAGE', 'name the configuration with --config FILE')
  const socket = resolve(control)
  if (Buffer.byteLength(socket) <= maxSocketPathBytes) return socket
  throw agentFault('USAGE', `--control: expected a path of at most ${maxSocketPathBytes} bytes`)
}
