/**
 * What many files cost an agent that has nothing to do: `node scripts/many-files.ts` writes them, starts a server and the
 * agent on loopback, and prints figures; it judges nothing.
 */
import { appendFile, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ask, equip, fromSources, serve, WatchedAgent, type Program } from './bench-programs.ts'

const help = `node scripts/many-files.ts [--files N] [--folders N] [--old N] [--idle-seconds N] [--grow-seconds N]
  [--rescan DURATION] [--program FILE]

Starts the agent twice. --old: of the files, so many were not written to for longer than ignoreOlder. --grow-seconds: for so
long a hundred of the files grow after the second start, each about every ten seconds. --rescan: how often it looks.
--program: a binary instead of the sources.`

const { values: options } = parseArgs({
  options: {
    files: { type: 'string', default: '2000' },
    folders: { type: 'string', default: '20' },
    old: { type: 'string', default: '0' },
    'idle-seconds': { type: 'string', default: '20' },
    'grow-seconds': { type: 'string', default: '0' },
    rescan: { type: 'string', default: '10s' },
    program: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const [files, folders, old] = [options.files, options.folders, options.old].map(Number) as [
  number,
  number,
  number,
]

const pathOf = (logs: string, file: number): string => join(logs, String(file % folders), `${file}.log`)

async function writeFiles(logs: string): Promise<void> {
  for (let folder = 0; folder < folders; folder++) await mkdir(join(logs, String(folder)))
  for (let file = 0; file < files; file++) {
    const path = pathOf(logs, file)
    await writeFile(path, `file ${file}: the first line of a quiet program\n`)
    if (file < old) await utimes(path, 1_600_000_000, 1_600_000_000)
  }
}

/** As `equip` makes it, but for folders below the one with the logs. */
async function widen(configFile: string, logs: string): Promise<void> {
  const config = JSON.parse(await readFile(configFile, 'utf8')) as object
  const sources = [{ paths: [join(logs, '**/*.log')], ignoreOlder: '24h' }]
  await writeFile(configFile, JSON.stringify({ ...config, sources, rescanInterval: options.rescan }))
}

/** So many files grow, by a line each in turn. */
const growing = 100
const everyMs = 100
/** As often memory is looked at meanwhile. */
const parts = 16

function row(name: string, value: string): void {
  console.log(`${name.padEnd(32)} ${value}`)
}

/** When it had little to do for some seconds: asking it would be something to do. */
async function untilAtRest(watched: WatchedAgent): Promise<number> {
  for (;;) {
    const [nowMs, before] = [performance.now(), watched.usage().cpuSeconds]
    await sleep(8000)
    if (watched.usage().cpuSeconds - before < 0.4) return nowMs
  }
}

/** The last of the files, which are not too old, one after the other. */
async function grow(watched: WatchedAgent, logs: string): Promise<void> {
  const seconds = Number(options['grow-seconds'])
  const startMs = performance.now()
  const before = watched.usage().cpuSeconds
  const seen: string[] = []
  for (let line = 0; seen.length < parts; line++) {
    await appendFile(pathOf(logs, files - 1 - (line % growing)), `line ${line} of what grows\n`)
    await sleep(everyMs)
    const part = (performance.now() - startMs) / 1000 / (seconds / parts)
    if (part >= seen.length + 1) seen.push(watched.restingMiB.toFixed(0))
  }
  const used = watched.usage().cpuSeconds - before
  row(`CPU while ${growing} grow, ${seconds} s`, `${((used / seconds) * 100).toFixed(2)} % of a core`)
  row(`RSS after each ${seconds / parts} s of it`, `${seen.join(' ')} MiB`)
}

async function measure(program: Program, configFile: string, logs?: string): Promise<void> {
  const startMs = performance.now()
  const watched = new WatchedAgent(program, configFile)
  await watched.told('streamStarted', files - old)
  row('all are followed after', `${((performance.now() - startMs) / 1000).toFixed(1)} s`)
  const restedMs = await untilAtRest(watched)
  row('nothing is left to do after', `${((restedMs - startMs) / 1000).toFixed(0)} s`)
  row('CPU so far', `${watched.usage().cpuSeconds.toFixed(1)} s`)
  const before = watched.usage().cpuSeconds
  const seconds = Number(options['idle-seconds'])
  await sleep(seconds * 1000)
  const used = watched.usage().cpuSeconds - before
  row(`CPU at rest, ${seconds} s`, `${((used / seconds) * 100).toFixed(2)} % of a core`)
  row('RSS at rest', `${watched.restingMiB.toFixed(0)} MiB`)
  row('peak RSS', `${watched.usage().peakMiB.toFixed(0)} MiB`)
  if (logs !== undefined && options['grow-seconds'] !== '0') await grow(watched, logs)
  // Fails where not all have their receipts.
  await ask(program, 'flush', '--config', configFile, '--timeout', '10m', '--json')
  await watched.stop()
}

async function compare(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'logbox-many-'))
  const program = options.program === undefined ? fromSources : ([options.program] as const)
  try {
    const data = join(folder, 'server')
    const serving = await serve(data, 0)
    const home = await equip(folder, 'many', program, serving, data)
    const configFile = join(home, 'agent.yaml')
    await writeFiles(join(home, 'logs'))
    await widen(configFile, join(home, 'logs'))
    console.log(`${files} files in ${folders} folders, ${old} of them too old`)
    console.log('the first start')
    await measure(program, configFile)
    console.log('after a restart')
    await measure(program, configFile, join(home, 'logs'))
    await serving.stop()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

if (options.help) console.log(help)
else await compare()
