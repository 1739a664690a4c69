/**
 * `npm run bench`: what the agent costs and how fast it is, beside the least that the same work can cost, measured in the
 * same run. Prints figures; it judges nothing. Options: --megabytes N, --agent PATH (default: the built binary if there
 * is one, else the sources), --rest-seconds N.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import { execFile } from 'node:child_process'
import { writeLog } from './bench-log.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
const binary = join(root, 'dist', `logbox-agent-linux-${process.arch}`)
const ticksPerSecond = 100

const { values: options } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '500' },
    'backlog-megabytes': { type: 'string', default: '200' },
    'rest-seconds': { type: 'string', default: '30' },
    agent: { type: 'string', default: existsSync(binary) ? binary : '' },
  },
})

interface Usage {
  readonly cpuSeconds: number
  readonly peakMiB: number
  readonly anonymousMiB: number
  readonly diskMB: number
}

/** An agent process that is watched while it works. */
class WatchedAgent {
  readonly child: ChildProcess
  readonly #peaks: NodeJS.Timeout
  #anonymousKiB = 0

  constructor(configFile: string) {
    const source = ['--max-semi-space-size=1', '--optimize-for-size', join(root, 'agent/main.ts')]
    const [command, before] = options.agent === '' ? [process.execPath, source] : [options.agent, []]
    this.child = spawn(command, [...before, 'run', '--config', configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#peaks = setInterval(() => this.#look(), 20)
  }

  #read(name: string): string {
    return readFileSync(`/proc/${this.child.pid}/${name}`, 'utf8')
  }

  #look(): void {
    this.#anonymousKiB = Math.max(this.#anonymousKiB, field(this.#read('status'), 'RssAnon'))
  }

  usage(): Usage {
    const stat = this.#read('stat').split(') ')[1]?.split(' ') ?? []
    return {
      cpuSeconds: (Number(stat[11]) + Number(stat[12])) / ticksPerSecond,
      peakMiB: field(this.#read('status'), 'VmHWM') / 1024,
      anonymousMiB: this.#anonymousKiB / 1024,
      diskMB: field(this.#read('io'), 'write_bytes') / 1e6,
    }
  }

  get restingMiB(): number {
    return field(this.#read('status'), 'VmRSS') / 1024
  }

  async stop(): Promise<void> {
    clearInterval(this.#peaks)
    this.child.kill('SIGTERM')
    await once(this.child, 'exit')
  }
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? NaN)
}

async function agent(...args: string[]): Promise<string> {
  const [command, before] =
    options.agent === '' ? [process.execPath, [join(root, 'agent/main.ts')]] : [options.agent, []]
  return (await run(command, [...before, ...args])).stdout
}

async function server(...args: string[]): Promise<string> {
  return (await run(process.execPath, [join(root, 'server-stub/main.ts'), ...args])).stdout
}

interface Serving {
  readonly url: string
  readonly publicKey: string
  stop(): Promise<void>
}

async function serve(data: string, port: number): Promise<Serving> {
  const args = [join(root, 'server-stub/main.ts'), 'serve', '--data', data, '--port', String(port)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { listening, publicKey } = JSON.parse(line) as { listening: string; publicKey: string }
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  return { url: listening, publicKey, stop }
}

/** A drone's folder with its key and configuration, registered with a server. */
async function equip(
  folder: string,
  name: string,
  { url, publicKey }: Serving,
  data: string,
): Promise<string> {
  const home = join(folder, name)
  await mkdir(join(home, 'logs'), { recursive: true })
  const keyFile = join(home, 'device.key')
  const key = JSON.parse(await agent('keygen', '--out', keyFile, '--json')) as { publicKey: string }
  await server('device', 'add', name, '--key', key.publicKey, '--data', data)
  const config = {
    device: name,
    server: { url, publicKey },
    key: keyFile,
    state: join(home, 'state'),
    control: join(home, 'agent.sock'),
    sources: [{ paths: [join(home, 'logs/*.log')] }],
  }
  await writeFile(join(home, 'agent.yaml'), JSON.stringify(config))
  return home
}

async function untilStatus(configFile: string, holds: (status: Status) => boolean): Promise<void> {
  for (;;) {
    const text = await agent('status', '--config', configFile, '--json').catch(() => '')
    if (text !== '' && holds(JSON.parse(text) as Status)) return
    await sleep(100)
  }
}

interface Status {
  readonly queue: { readonly records: number; readonly bytes: number }
  readonly totals: { readonly size: number; readonly queuedBytes: number; readonly receiptedBytes: number }
}

interface Floor {
  readonly bytes: number
  readonly compressed: number
  readonly seconds: number
  readonly cpuSeconds: number
}

async function measureFloor(path: string): Promise<Floor> {
  const { stdout } = await run(process.execPath, [join(root, 'scripts/bench-floor.ts'), path])
  return JSON.parse(stdout) as Floor
}

async function storedBytes(data: string): Promise<number> {
  const { stdout } = await run('du', ['-sb', join(data, 'records')])
  return Number(stdout.split('\t')[0])
}

const row = (name: string, value: string): void => console.log(`  ${name.padEnd(46)} ${value}`)

async function benchThroughput(folder: string): Promise<void> {
  const data = join(folder, 'throughput-server')
  const serving = await serve(data, 0)
  const home = await equip(folder, 'throughput', serving, data)
  const log = join(home, 'logs/flight.log')
  const bytes = await writeLog(log, Number(options.megabytes) * 1e6, 1)
  const floors = [await measureFloor(log)]
  const startMs = performance.now()
  const watched = new WatchedAgent(join(home, 'agent.yaml'))
  await untilStatus(join(home, 'agent.yaml'), () => true)
  await agent('flush', '--config', join(home, 'agent.yaml'), '--timeout', '10m', '--json')
  const seconds = (performance.now() - startMs) / 1000
  const usage = watched.usage()
  await watched.stop()
  floors.push(await measureFloor(log))
  const wire = await storedBytes(data)
  await serving.stop()
  const floorCpu = Math.min(...floors.map((floor) => floor.cpuSeconds))
  const gigabytes = bytes / 1e9
  console.log(
    `\n${(bytes / 1e6).toFixed(0)} MB of log lines already there, from the agent's start to the last receipt`,
  )
  row('throughput', `${(bytes / 1e6 / seconds).toFixed(0)} MB/s`)
  row('agent CPU', `${(usage.cpuSeconds / gigabytes).toFixed(2)} s/GB`)
  row('floor CPU (read, SHA-256, zstd; best of 2)', `${(floorCpu / gigabytes).toFixed(2)} s/GB`)
  row('agent CPU / floor CPU', (usage.cpuSeconds / floorCpu).toFixed(2))
  row('floor alone', `${floors.map((floor) => (bytes / 1e6 / floor.seconds).toFixed(0)).join(', ')} MB/s`)
  row('peak RSS, of it anonymous', `${usage.peakMiB.toFixed(0)} MiB, ${usage.anonymousMiB.toFixed(0)} MiB`)
  row('bytes on the wire (records)', `${(wire / 1e6).toFixed(1)} MB`)
  row(
    'bytes written to disk by the agent',
    `${usage.diskMB.toFixed(1)} MB, ${(usage.diskMB / (wire / 1e6)).toFixed(2)} x wire`,
  )
}

async function benchBacklog(folder: string): Promise<void> {
  const data = join(folder, 'backlog-server')
  const first = await serve(data, 0)
  const home = await equip(folder, 'backlog', first, data)
  await first.stop()
  const configFile = join(home, 'agent.yaml')
  const bytes = await writeLog(join(home, 'logs/flight.log'), Number(options['backlog-megabytes']) * 1e6, 2)
  const watched = new WatchedAgent(configFile)
  await untilStatus(configFile, ({ totals }) => totals.queuedBytes === totals.size && totals.size > 0)
  const serving = await serve(data, Number(new URL(first.url).port))
  const startMs = performance.now()
  await agent('flush', '--config', configFile, '--timeout', '5m', '--json')
  const seconds = (performance.now() - startMs) / 1000
  console.log(
    `\n${(bytes / 1e6).toFixed(0)} MB of logs waiting in the queue, from the link's return to the last receipt`,
  )
  row('drained in', `${seconds.toFixed(2)} s`)
  row('peak RSS', `${watched.usage().peakMiB.toFixed(0)} MiB`)
  await watched.stop()
  await serving.stop()
}

async function benchRest(folder: string): Promise<void> {
  const data = join(folder, 'rest-server')
  const serving = await serve(data, 0)
  const home = await equip(folder, 'rest', serving, data)
  const log = join(home, 'logs/flight.log')
  await writeFile(log, 'start\n')
  const watched = new WatchedAgent(join(home, 'agent.yaml'))
  await untilStatus(join(home, 'agent.yaml'), () => true)
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
  row('RSS', `${watched.restingMiB.toFixed(0)} MiB`)
  await watched.stop()
  await serving.stop()
}

console.log(`agent: ${options.agent === '' ? 'from its sources' : options.agent}`)
const folder = await mkdtemp(join(tmpdir(), 'logbox-bench-'))
try {
  await benchThroughput(folder)
  await benchBacklog(folder)
  await benchRest(folder)
} finally {
  await rm(folder, { recursive: true, force: true })
}
