import { exits, Fault, faultLine } from '../../protocol/fault.ts'
import { showText } from '../../protocol/show-text.ts'
import { agentFault } from '../faults.ts'
import type { Terminal } from './terminal.ts'

/** What `logbox-agent` calls itself. */
export const programName = 'logbox-agent'

/** What `work` means to the shell. Every error has become a line on stderr. */
export async function exitStatusOf(
  work: () => Promise<unknown>,
  terminal: Pick<Terminal, 'env' | 'tell'>,
): Promise<number> {
  try {
    await work()
    return exits.done
  } catch (thrown) {
    const error = toFault(thrown)
    terminal.tell(errorText(error, terminal))
    return error instanceof Fault ? error.kind.exit : exits.bug
  }
}

/** yargs throws its own where a builder is awaited, past `fail`. */
function toFault(error: unknown): unknown {
  const isUsage = error instanceof Error && error.name === 'YError'
  return isUsage ? agentFault('USAGE', showText(error.message)) : error
}

/** A line an error. The stack of it is for those who ask with LOGBOX_DEBUG=1. */
export function errorText(error: unknown, { env }: Pick<Terminal, 'env'>): string {
  const lines = error instanceof Fault ? faultLines(error) : [bugLine(error)]
  const text = lines.map((line) => `${programName}: ${line}\n`).join('')
  return env['LOGBOX_DEBUG'] === '1' && error instanceof Error ? `${text}${stackOf(error)}\n` : text
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
