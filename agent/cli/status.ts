import { styleText } from 'node:util'
import type { CommandModule } from 'yargs'
import { showJson, showText } from '../../protocol/show-text.ts'
import { showReported } from '../control/reported-path.ts'
import type { FileReport, StatusReport } from '../control/report.ts'
import type { QueueState } from '../queue/queue-state.ts'
import { roughSize } from '../units.ts'
import { countOf, isTrouble, linkWords } from './link-words.ts'
import { configOption, controlOption, findSocket, jsonOption, type SocketArguments } from './options.ts'
import type { Terminal } from './terminal.ts'

interface StatusArguments extends SocketArguments {
  readonly json: boolean
}

export function statusCommand(terminal: Terminal): CommandModule<object, StatusArguments> {
  return {
    command: 'status',
    describe: 'Tell the state of the link, the queue and each file',
    builder: (yargs) =>
      yargs
        .option('config', configOption)
        .option('control', controlOption)
        .option('json', jsonOption)
        .example('$0 status --config /etc/logbox/agent.yaml', ''),
    handler: (argv) => status(argv, terminal),
  }
}

async function status(argv: StatusArguments, terminal: Terminal): Promise<void> {
  const socket = await findSocket(argv, terminal)
  const { fetchStatus } = await import('../control/control-client.ts')
  const report = await fetchStatus(socket)
  terminal.print(argv.json ? `${showJson(report)}\n` : statusText(report, terminal.hasColor))
}

/** The report for a person. What needs one is yellow. */
function statusText(report: StatusReport, hasColor: boolean): string {
  const trouble = (text: string): string =>
    hasColor ? styleText('yellow', text, { validateStream: false }) : text
  const link = linkWords(report.link)
  const lines = [
    field(
      'device',
      `${showText(report.device)}, epoch ${report.epoch}, logbox-agent ${showText(report.version)}`,
    ),
    field('server', showText(report.server)),
    field('link', isTrouble(report.link) ? trouble(link) : link),
    field('queue', queueWords(report)),
    ...queueTrouble(report.queue.state).map((text) => field('', trouble(text))),
    ...(report.queue.notes ?? []).map((text) => field('', trouble(showText(text)))),
    ...report.queue.setAside.map(({ seq, why, ...of }) => {
      return field('set aside', trouble(`record ${seq} of ${showReported(of)}: ${showText(why)}`))
    }),
    ...unnamed(report).map((text) => field('', trouble(text))),
    ...(report.watch.is === 'notified' ? [] : [field('watch', trouble(showText(report.watch.why)))]),
    field('files', totalsWords(report)),
    ...fileTable(report.files, trouble),
  ]
  return `${lines.join('\n')}\n`
}

function unnamed({ queue }: StatusReport): readonly string[] {
  const more = queue.setAsideRecords - queue.setAside.length
  return more > 0 ? [`and ${countOf(more, 'other record')}`] : []
}

function field(name: string, text: string): string {
  return name.padEnd(11) + text
}

function queueWords({ queue }: StatusReport): string {
  return `${countOf(queue.records, 'chunk')}, ${roughSize(queue.bytes)} of ${roughSize(queue.maxBytes)}`
}

function queueTrouble(state: QueueState): readonly string[] {
  switch (state.is) {
    case 'open':
      return []
    case 'full':
      return ['full: bytes wait in their files']
    case 'blocked':
      return [`the disk refuses, bytes wait in their files: ${showText(state.why)}`]
  }
}

function totalsWords({ totals }: StatusReport): string {
  const { files, size, readBytes, queuedBytes, receiptedBytes, lostBytes } = totals
  const unreadBytes = Math.max(0, size - readBytes)
  return [
    `${files}, ${roughSize(size)}`,
    `${roughSize(receiptedBytes)} have receipts`,
    `${roughSize(queuedBytes)} queued`,
    `${roughSize(unreadBytes)} unread`,
    `${roughSize(lostBytes)} lost`,
  ].join('; ')
}

const columnWidth = 12
const headings = ['size', 'read', 'queued', 'receipted', 'lost']

function fileTable(files: readonly FileReport[], trouble: (text: string) => string): readonly string[] {
  if (files.length === 0) return []
  const rows = files.flatMap((file) => {
    const { size, readBytes, queuedBytes, receiptedBytes, lostBytes } = file
    const row = tableRow(
      [size, readBytes, queuedBytes, receiptedBytes, lostBytes].map(roughSize),
      showReported(file),
    )
    return file.trouble === undefined ? [row] : [row, trouble(tableRow([], `  ${showText(file.trouble)}`))]
  })
  return ['', tableRow(headings, 'file'), ...rows]
}

function tableRow(cells: readonly string[], last: string): string {
  const padded = headings.map((_, column) => (cells[column] ?? '').padStart(columnWidth))
  return `${padded.join('')}  ${last}`
}
