/**
 * `npm run bench`: what the agent costs and how fast it is, beside the least that the same work can cost, measured in the
 * same run. Prints figures; it judges nothing.
 */
import { existsSync } from 'node:fs'
import { appendFile, chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { writeLog } from './bench-log.ts'
import {
  ask,
  equip,
  fromSources,
  root,
  run,
  serve,
  untilStatus,
  WatchedAgent,
  type Program,
} from './bench-programs.ts'

const help = `npm run bench -- [--megabytes N] [--backlog-megabytes N] [--rest-seconds N] [--sources]

Measures dist/logbox-agent-linux-ARCH if it was built, else, or with --sources, the agent's sources.`

const { values: options } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '500' },
    'backlog-megabytes': { type: 'string', default: '200' },
    'rest-seconds': { type: 'string', default: '30' },
    sources: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/** The binary is copied, because pages of a file that a build has just written count for more in a process that maps it. */
async function chooseProgram(folder: string): Promise<Program> {
  const binary = join(root, 'dist', `logbox-agent-linux-${process.arch}`)
  if (options.sources || !existsSync(binary)) return fromSources
  const copy = join(folder, 'logbox-agent')
  await copyFile(binary, copy)
  await chmod(copy, 0o755)
  return [copy]
}

interface Floor {
  readonly compressed: number
  readonly seconds: number
  readonly cpuSeconds: number
}

async function measureFloor(path: string): Promise<Floor> {
  const { stdout } = await run(process.execPath, [join(root, 'scripts/bench-floor.ts'), path])
  return JSON.parse(stdout) as Floor
}

async function storedBytes(data: string): Promise<number> {
  const { stdout } = await run('du', ['--apparent-size', '--block-size=1', '-s', join(data, 'records')])
  return Number(stdout.split('\t')[0])
}

const row = (name: string, value: string): void => console.log(`  ${name.padEnd(44)} ${value}`)

async function benchThroughput(folder: string, program: Program): Promise<void> {
  const data = join(folder, 'throughput-server')
  const serving = await serve(data, 0)
  const home = await equip(folder, 'throughput', program, serving, data)
  const configFile = join(home, 'agent.yaml')
  const log = join(home, 'logs/flight.log')
  const bytes = await writeLog(log, Number(options.megabytes) * 1e6, 1)
  const before = await measureFloor(log)
  const startMs = performance.now()
  const watched = new WatchedAgent(program, configFile)
  await untilStatus(program, configFile, () => true)
  await ask(program, 'flush', '--config', configFile, '--timeout', '10m', '--json')
  const seconds = (performance.now() - startMs) / 1000
  const { cpuSeconds, peakMiB, anonymousMiB, diskMB } = watched.usage()
  await watched.stop()
  const after = await measureFloor(log)
  const wire = await storedBytes(data)
  await serving.stop()
  const floorCpu = Math.min(before.cpuSeconds, after.cpuSeconds)
  const perGB = (cpu: number): string => `${(cpu / (bytes / 1e9)).toFixed(2)} s/GB`
  const speed = (duration: number): string => (bytes / 1e6 / duration).toFixed(0)
  console.log(
    `\n${(bytes / 1e6).toFixed(0)} MB of log lines already there, from the agent's start to the last receipt`,
  )
  row('throughput', `${speed(seconds)} MB/s`)
  row('agent CPU', perGB(cpuSeconds))
  row('floor CPU (read, SHA-256, zstd; best of 2)', perGB(floorCpu))
  row('agent CPU / floor CPU', (cpuSeconds / floorCpu).toFixed(2))
  row('floor alone', `${speed(before.seconds)}, ${speed(after.seconds)} MB/s`)
  row('peak RSS, of it anonymous', `${peakMiB.toFixed(0)} MiB, ${anonymousMiB.toFixed(0)} MiB`)
  row('bytes on the wire (records)', `${(wire / 1e6).toFixed(1)} MB`)
  row(
    'bytes written to disk by the agent',
    `${diskMB.toFixed(1)} MB, ${(diskMB / (wire / 1e6)).toFixed(2)} x wire`,
  )
}

async function benchBacklog(folder: string, program: Program): Promise<void> {
  const data = join(folder, 'backlog-server')
  const first = await serve(data, 0)
  const home = await equip(folder, 'backlog', program, first, data)
  await first.stop()
  const configFile = join(home, 'agent.yaml')
  const bytes = await writeLog(join(home, 'logs/flight.log'), Number(options['backlog-megabytes']) * 1e6, 2)
  const watched = new WatchedAgent(program, configFile)
  await untilStatus(
    program,
    configFile,
    ({ totals }) => totals.queuedBytes === totals.size && totals.size > 0,
  )
  const serving = await serve(data, Number(new URL(first.url).port))
  const startMs = performance.now()
  await ask(program, 'flush', '--config', configFile, '--timeout', '10m', '--json')
  const seconds = (performance.now() - startMs) / 1000
  console.log(
    `\n${(bytes / 1e6).toFixed(0)} MB of logs in the queue, from the link's return to the last receipt`,
  )
  row('drained in', `${seconds.toFixed(2)} s`)
  row('peak RSS', `${watched.usage().peakMiB.toFixed(0)} MiB`)
  await watched.stop()
  await serving.stop()
}

async function benchRest(folder: string, program: Program): Promise<void> {
  const data = join(folder, 'rest-server')
  const serving = await serve(data, 0)
  const home = await equip(folder, 'rest', program, serving, data)
  const configFile = join(home, 'agent.yaml')
  const log = join(home, 'logs/flight.log')
  await writeFile(log, 'start\n')
  const watched = new WatchedAgent(program, configFile)
  await untilStatus(program, configFile, () => true)
  await sleep(5000)
  const before = watched.usage().cpuSeconds
  const seconds = Number(options['rest-seconds'])
  for (let second = 0; second < seconds; second++) {
    await appendFile(log, `line ${second} of a quiet drone\n`)
    await sleep(1000)
  }
  const used = watched.usage().cpuSeconds - before
  console.log(`\nat rest, one line a second for ${seconds} s`)
  row('CPU', `${((used / seconds) * 100).toFixed(2)} % of a core`)
  row('RSS', `${watched.restingMiB.toFixed(1)} MiB`)
  await watched.stop()
  await serving.stop()
}

async function bench(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'logbox-bench-'))
  try {
    const program = await chooseProgram(folder)
    console.log(program === fromSources ? "the agent's sources" : 'the binary in dist/')
    await benchThroughput(folder, program)
    await benchBacklog(folder, program)
    await benchRest(folder, program)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

if (options.help) console.log(help)
else await bench()
