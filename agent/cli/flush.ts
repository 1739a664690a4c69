import type { CommandModule } from 'yargs'
import { showJson, showText } from '../../protocol/show-text.ts'
import { showReported } from '../control/reported-path.ts'
import type { FlushReport, RemainingFile } from '../control/report.ts'
import { agentFault } from '../faults.ts'
import { parseDuration, roughSize } from '../units.ts'
import { barLine, observe, progressLine, type Progress } from './flush-progress.ts'
import { configOption, controlOption, findSocket, jsonOption, type SocketArguments } from './options.ts'
import type { Terminal } from './terminal.ts'

interface FlushArguments extends SocketArguments {
  readonly timeout: string
  readonly json: boolean
}

const longestTimeoutMs = 86_400_000

export function flushCommand(terminal: Terminal): CommandModule<object, FlushArguments> {
  return {
    command: 'flush',
    describe: 'Deliver everything that stands in the watched files now',
    builder: (yargs) =>
      yargs
        .option('config', configOption)
        .option('control', controlOption)
        .option('timeout', {
          type: 'string',
          requiresArg: true,
          default: '60s',
          describe: 'When to give up, from 0s to 1d',
        })
        .option('json', {
          ...jsonOption,
          describe: 'Print one JSON object a line, the last one with the result',
        })
        .example('$0 flush --config /etc/logbox/agent.yaml --timeout 2m', ''),
    handler: (argv) => flush(argv, terminal),
  }
}

async function flush(argv: FlushArguments, terminal: Terminal): Promise<void> {
  const timeoutMs = parseTimeout(argv.timeout)
  const socket = await findSocket(argv, terminal)
  const view = argv.json ? jsonView(terminal) : terminal.canRedraw ? barView(terminal) : lineView(terminal)
  const report = await follow(socket, timeoutMs, view)
  if (!argv.json) terminal.print(flushResult(report))
  if (report?.done !== true) throw agentFault('FLUSH_UNFINISHED', 'not everything has receipts yet')
}

function parseTimeout(text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms <= longestTimeoutMs) return ms
  throw agentFault('USAGE', `--timeout: expected a duration from 0s to 1d, found "${showText(text)}"`)
}

/** The last report. */
async function follow(socket: string, timeoutMs: number, view: FlushView): Promise<FlushReport | undefined> {
  const { requestFlush } = await import('../control/control-client.ts')
  let last: FlushReport | undefined
  try {
    for await (const report of requestFlush(socket, timeoutMs)) {
      last = report
      view.show(report)
    }
  } finally {
    view.end()
  }
  return last
}

interface FlushView {
  show(report: FlushReport): void
  end(): void
}

function jsonView(terminal: Terminal): FlushView {
  return { show: (report) => terminal.print(`${showJson(report)}\n`), end: () => undefined }
}

const eraseToEnd = '\u001b[K'

/** One line, written again and again. */
function barView(terminal: Terminal): FlushView {
  let progress: Progress | undefined
  return {
    show: (report) => {
      progress = observe(progress, report, terminal.nowMs())
      terminal.tell(`\r${barLine(report, progress, terminal.columns())}${eraseToEnd}`)
    },
    end: () => {
      if (progress) terminal.tell('\n')
    },
  }
}

const linePauseMs = 5000

/** For a journal or a file: a line now and then. */
function lineView(terminal: Terminal): FlushView {
  let progress: Progress | undefined
  let nextMs = -Infinity
  return {
    show: (report) => {
      const nowMs = terminal.nowMs()
      progress = observe(progress, report, nowMs)
      if (nowMs < nextMs && !report.done) return
      nextMs = nowMs + linePauseMs
      terminal.tell(`${progressLine(report, progress)}\n`)
    },
    end: () => undefined,
  }
}

function flushResult(report: FlushReport | undefined): string {
  if (!report) return ''
  if (!report.done) return remainder(report)
  const lost =
    report.lostBytes > 0 ? `; ${roughSize(report.lostBytes)} were lost before, and are recorded as lost` : ''
  return `safe to power off: ${roughSize(report.receiptedBytes)} have receipts${lost}\n`
}

function remainder({ unreadBytes, queuedBytes, remaining = [] }: FlushReport): string {
  const sum = `not delivered: ${roughSize(queuedBytes)} in the queue, ${roughSize(unreadBytes)} only in their files`
  return [sum, ...remaining.map(remainingWords), ''].join('\n')
}

function remainingWords({ queuedBytes, unreadBytes, trouble, ...of }: RemainingFile): string {
  const counts = `  ${showReported(of)}: ${roughSize(queuedBytes)} queued, ${roughSize(unreadBytes)} unread`
  return trouble === '' ? counts : `${counts}: ${showText(trouble)}`
}
