import { base64url, hex } from '../../protocol/ids.ts'
import { exits } from '../../protocol/fault.ts'
import { showJson, showPath, showText } from '../../protocol/show-text.ts'
import { serverFault } from '../faults.ts'
import { auditKeys } from '../ingest/key-ring.ts'
import { openStore } from '../parts.ts'
import type { Gap } from '../query/layout.ts'
import { reportStream, type StreamReport } from '../query/stream-report.ts'
import { dataFolder, deviceArgument, jsonFlag, settingFlag, type Command } from './command.ts'
import { isoTime } from './iso-time.ts'

export const files: Command = {
  usage: 'files',
  describe: 'list what is stored, and what of it is missing or lost',
  flags: (yargs) =>
    jsonFlag(settingFlag(yargs, 'data'))
      .option('device', { type: 'string', requiresArg: true, describe: 'only of this device' })
      .example('$0 files --data DIR --device hexa-7 --json', ''),
  run: async (args, terminal) => {
    const device = args['device'] === undefined ? undefined : deviceArgument(args, 'device')
    await using parts = await openStore(dataFolder(args, terminal))
    const devices = await parts.catalog.devices()
    if (device !== undefined && !devices.some((row) => row.device === device)) {
      throw serverFault('DEVICE_MISSING', `no device ${device}`)
    }
    const source = { ...parts, keys: auditKeys(devices) }
    const reports: StreamReport[] = []
    for (const row of await parts.catalog.streams(device)) reports.push(await reportStream(row, source))
    const text = args['json'] === true ? [showJson(reports.map(tellReport))] : reports.map(reportLine)
    await terminal.print(text.map((line) => `${line}\n`).join(''))
    return exits.done
  },
}

function tellReport(report: StreamReport) {
  const { stream: row, bytes, whole, missing, lost, damaged, outdated, close, sinceClose, why } = report
  return {
    device: row.device,
    stream: row.stream,
    path: typeof row.path === 'string' ? row.path : showPath(row.path),
    ...(typeof row.path === 'string' ? {} : { pathBytes: base64url(row.path) }),
    tags: Object.fromEntries(row.tags),
    bytes,
    whole,
    missing: missing.map(({ from, to }) => [from, to]),
    lost: lost.map(tellGap),
    damaged: damaged.map(tellGap),
    outdated: outdated.map(tellGap),
    closed: close !== undefined,
    sinceClosed: close ? sinceClose : null,
    length: close?.length ?? null,
    sha256: close?.sha256 ? hex(close.sha256) : null,
    forks: row.forks,
    why: why ?? null,
    firstSeen: isoTime(row.firstSeenMs),
    lastSeen: isoTime(row.lastSeenMs),
  }
}

const tellGap = ({ from, to, detail }: Gap) => ({ from, to, reason: detail })

function reportLine(report: StreamReport): string {
  const { stream: row, bytes } = report
  const state = `${stateOf(report)}${closing(report)}${row.forks > 0 ? `, ${row.forks} forks` : ''}`
  const tags = [...row.tags].map(([name, value]) => showText(`${name}=${value}`)).join(' ')
  return [row.device, row.stream, bytes, state, showPath(row.path), tags].join('\t')
}

function closing({ close, sinceClose }: StreamReport): string {
  if (!close) return ''
  return sinceClose === 'grown' ? ', grown since it was closed' : sinceClose === 'changed' ? '' : ', closed'
}

function stateOf({ whole, missing, lost, damaged, outdated, why }: StreamReport): string {
  if (whole) return 'whole'
  const gaps = [
    ranges('missing', missing),
    withReasons(lost),
    ranges('damaged', damaged),
    ranges('outdated', outdated),
  ]
  const said = [...gaps, why ?? ''].filter((part) => part !== '')
  return said.length > 0 ? said.join(', ') : 'not whole'
}

/** "lost 0-10 5-20 (truncated), lost 30- (deleted)": "30-" is from 30 to nobody knows where. */
function withReasons(lost: readonly Gap[]): string {
  const byReason = Map.groupBy(lost, ({ detail }) => detail)
  return [...byReason].map(([reason, gaps]) => `${ranges('lost', gaps)} (${reason})`).join(', ')
}

function ranges(what: string, gaps: readonly Gap[]): string {
  const shown = gaps.map(({ from, to }) => `${from}-${to ?? ''}`).join(' ')
  return shown === '' ? '' : `${what} ${shown}`
}
