import { appendFile, mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packConfig } from '../agent/hand-over.ts'
import { loadConfig } from '../agent/load-config.ts'
import type { takeOver } from '../agent/take-over.ts'
import { writeLog } from './bench-log.ts'
import { equip, fromSources, serve, untilStatus } from './bench-programs.ts'
import { quietTerminal } from './quiet-terminal.ts'

/** Enough for chunks of each size. */
const logBytes = 16e6
const lines = ['MODE, 12400000, Auto, 3, 10\n', 'MODE, 12500000, RTL, 11, 10\n']

/** The daemon as on a drone: a log that was there already, and then a line at a time, delivered to a server. */
export async function warmDaemon(daemon: { readonly takeOver: typeof takeOver }): Promise<void> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'logbox-'))
  const data = join(folder.path, 'server')
  const serving = await serve(data, 0)
  const landing = new AbortController()
  try {
    const home = await equip(folder.path, 'drone', fromSources, serving, data)
    const config = packConfig(loadConfig(join(home, 'agent.yaml'), { env: {}, flags: new Map() }))
    const log = join(home, 'logs/flight.log')
    const written = await writeLog(log, logBytes, 1)
    const running = daemon.takeOver(config, quietTerminal, landing.signal)
    await addLines(home, log, written)
    landing.abort()
    if ((await running) !== 0) throw new Error('the daemon does not run')
  } finally {
    landing.abort()
    await serving.stop()
  }
}

/** Each once everything before it has its receipt. */
async function addLines(home: string, log: string, written: number): Promise<void> {
  let size = written
  const arrived = (): Promise<void> =>
    untilStatus(fromSources, join(home, 'agent.yaml'), ({ totals }) => totals.receiptedBytes === size)
  await arrived()
  for (const line of lines) {
    await appendFile(log, line)
    size += line.length
    await arrived()
  }
}
