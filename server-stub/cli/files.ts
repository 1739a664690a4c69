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

function tellReport({ stream: row, bytes, whole, missing, lost, damaged, close, why }: StreamReport) {
  return {
    device: row.device,
    stream: row.stream,
    path: typeof row.path === 'string' ? row.path : showPath(row.path),
    ...(typeof row.path === 'string' ? {} : { pathBytes: base64url(row.path) }),
    tags: Object.fromEntries(row.tags),
    bytes,
    whole,
    missing: missing.map(({ from, to }) => [from, to]),
    lost: lost.map(({ from, to, detail }) => ({ from, to, reason: detail })),
    damaged: damaged.map(({ from, to, detail }) => ({ from, to, reason: detail })),
    closed: close !== undefined,
    length: close?.length ?? null,
    sha256: close?.sha256 ? hex(close.sha256) : null,
    forks: row.forks,
    why: why ?? null,
    firstSeen: isoTime(row.firstSeenMs),
    lastSeen: isoTime(row.lastSeenMs),
  }
}

function reportLine(report: StreamReport): string {
  const { stream: row, bytes, close } = report
  const state = `${stateOf(report)}${close ? ', closed' : ''}${row.forks > 0 ? `, ${row.forks} forks` : ''}`
  const tags = [...row.tags].map(([name, value]) => showText(`${name}=${value}`)).join(' ')
  return [row.device, row.stream, bytes, state, showPath(row.path), tags].join('\t')
}

function stateOf({ whole, missing, lost, damaged, why }: StreamReport): string {
  if (whole) return 'whole'
  const parts = [ranges('missing', missing), ranges('lost', lost), ranges('damaged', damaged)].filter(Boolean)
  return parts.length > 0 ? parts.join(', ') : (why ?? 'not whole')
}

function ranges(what: string, gaps: readonly Gap[]): string {
  const shown = gaps.map(({ from, to }) => `${from}-${to ?? ''}`).join(' ')
  return shown === '' ? '' : `${what} ${shown}`
}
