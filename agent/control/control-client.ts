import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import type { Fault } from '../../protocol/fault.ts'
import { showText } from '../../protocol/show-text.ts'
import { agentFault } from '../faults.ts'
import { controlPaths, type FlushReport, type StatusReport } from './report.ts'

/** The agent answers at once and reports about five times a second: one that says nothing for so long hangs. */
const silenceMs = 15_000
/** A report of a thousand files has about 200 KiB. */
const maxAnswerBytes = 64 * 1024 * 1024

/** The report of the agent at this socket. Throws a Fault where none runs, it is silent, or it answers with anything else. */
export async function fetchStatus(socketPath: string): Promise<StatusReport> {
  const answer = await ask(socketPath, 'GET', controlPaths.status)
  return parseReport(await readWhole(socketPath, answer), isStatusReport, socketPath)
}

/** The reports of a flush as they come; the last one says how it ended. Throws AGENT_GONE where the agent went away. */
export async function* requestFlush(socketPath: string, timeoutMs: number): AsyncGenerator<FlushReport> {
  const answer = await ask(socketPath, 'POST', `${controlPaths.flush}?timeoutMs=${timeoutMs}`)
  let last: FlushReport | undefined
  try {
    for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) {
      last = parseReport(line, isFlushReport, socketPath)
      yield last
    }
  } catch (cause) {
    throw connectionFault(cause, socketPath)
  }
  if (!last || !isFinal(last)) throw agentGone()
}

/** An agent that is stopped during a flush ends its answer without a result. */
function isFinal(report: FlushReport): boolean {
  return report.done || report.remaining !== undefined
}

/** The answer once its head is there. */
function ask(socketPath: string, method: 'GET' | 'POST', path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, method, path, timeout: silenceMs, agent: false })
    let waitingFor: ClientRequest | IncomingMessage = asking
    asking.once('response', (answer) => {
      waitingFor = answer
      if (answer.statusCode === 200) return resolve(answer)
      asking.destroy()
      reject(agentFault('CONTROL_UNUSABLE', `the agent answers ${answer.statusCode} to ${method} ${path}`))
    })
    asking.on('timeout', () => waitingFor.destroy(silent(socketPath)))
    asking.on('error', (cause) => reject(connectionFault(cause, socketPath)))
    asking.end()
  })
}

async function readWhole(socketPath: string, answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  try {
    for await (const piece of answer as AsyncIterable<Buffer>) {
      bytes += piece.length
      if (bytes > maxAnswerBytes) throw notOurs(socketPath)
      pieces.push(piece)
    }
  } catch (cause) {
    throw connectionFault(cause, socketPath)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function connectionFault(cause: unknown, socketPath: string): unknown {
  const name = showText(socketPath)
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return agentFault('AGENT_ABSENT', `no agent is running at ${name}`, { cause })
    case 'EACCES':
    case 'EPERM':
      return agentFault('CONTROL_FORBIDDEN', `may not use the control socket ${name}`, { cause })
    case 'ECONNRESET':
    case 'EPIPE':
      return agentGone({ cause })
    case 'ENOTDIR':
    case 'ENAMETOOLONG':
    case 'EINVAL':
      return agentFault('CONTROL_UNUSABLE', `there can be no control socket at ${name}`, { cause })
    default:
      return (cause as NodeJS.ErrnoException).code?.startsWith('HPE_')
        ? notOurs(socketPath, { cause })
        : cause
  }
}

function agentGone(options?: ErrorOptions): Fault {
  return agentFault('AGENT_GONE', 'the agent went away before it had answered', options)
}

function silent(socketPath: string): Fault {
  return agentFault('AGENT_SILENT', `the agent at ${showText(socketPath)} does not answer`)
}

function notOurs(socketPath: string, options?: ErrorOptions): Fault {
  return agentFault(
    'CONTROL_UNUSABLE',
    `what answers at ${showText(socketPath)} is no agent of this version`,
    options,
  )
}

function parseReport<T>(text: string, isReport: (value: unknown) => value is T, socketPath: string): T {
  const value = parseJson(text, socketPath)
  if (!isReport(value)) throw notOurs(socketPath)
  return value
}

function parseJson(text: string, socketPath: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw notOurs(socketPath, { cause })
  }
}

/** Tells a report from what another version or another program sends; not each of its fields. */
function isStatusReport(value: unknown): value is StatusReport {
  return (
    has(value, 'files') &&
    Array.isArray(value.files) &&
    has(value, 'queue') &&
    has(value, 'totals') &&
    isLinked(value)
  )
}

function isFlushReport(value: unknown): value is FlushReport {
  const numbers = [
    'targetBytes',
    'receiptedBytes',
    'queuedBytes',
    'unreadBytes',
    'lostBytes',
    'queuedRecords',
  ]
  const isNumber = (name: string): boolean => has(value, name) && typeof value[name] === 'number'
  return numbers.every(isNumber) && has(value, 'done') && typeof value.done === 'boolean' && isLinked(value)
}

function isLinked(value: unknown): boolean {
  return has(value, 'link') && has(value.link, 'is')
}

function has<Name extends string>(value: unknown, name: Name): value is Record<Name, unknown> {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
}
