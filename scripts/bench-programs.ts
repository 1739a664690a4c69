/** The programs that the benchmark measures, and how it looks at them while they work. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

export const run = promisify(execFile)
export const root = join(import.meta.dirname, '..')
/** USER_HZ, which is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100
const serverMain = join(root, 'server-stub/main.ts')

/** How an agent is started: a binary, or its sources as `npm run agent` does. */
export type Program = readonly [command: string, ...args: string[]]

export const fromSources: Program = [process.execPath, '--max-semi-space-size=1', join(root, 'agent/main.ts')]

export interface Usage {
  /** With that of the process that checked its configuration. */
  readonly cpuSeconds: number
  readonly peakMiB: number
  readonly anonymousMiB: number
  readonly diskMB: number
}

/** An agent process that is watched while it works. */
export class WatchedAgent {
  readonly #child: ChildProcess
  readonly #looking: NodeJS.Timeout
  /** How often its journal told each fact, by name. */
  readonly #facts = new Map<string, number>()
  #anonymousKiB = 0

  constructor([command, ...before]: Program, configFile: string) {
    const args = [...before, 'run', '--config', configFile]
    this.#child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const journal = createInterface(this.#child.stderr as Readable)
    journal.on('line', (line) => this.#hear(line.split(' ')[1] ?? ''))
    this.#looking = setInterval(() => this.#look(), 20)
  }

  #hear(fact: string): void {
    this.#facts.set(fact, (this.#facts.get(fact) ?? 0) + 1)
  }

  /** Resolves once its journal has told the fact so many times. */
  async told(fact: string, times: number): Promise<void> {
    while ((this.#facts.get(fact) ?? 0) < times) await sleep(10)
  }

  #read(name: string): string {
    return readFileSync(`/proc/${this.#child.pid}/${name}`, 'utf8')
  }

  #look(): void {
    this.#anonymousKiB = Math.max(this.#anonymousKiB, field(this.#read('status'), 'RssAnon'))
  }

  usage(): Usage {
    const stat = this.#read('stat').split(') ')[1]?.split(' ') ?? []
    return {
      cpuSeconds:
        (Number(stat[11]) + Number(stat[12]) + Number(stat[13]) + Number(stat[14])) / ticksPerSecond,
      peakMiB: field(this.#read('status'), 'VmHWM') / 1024,
      anonymousMiB: this.#anonymousKiB / 1024,
      diskMB: field(this.#read('io'), 'write_bytes') / 1e6,
    }
  }

  get restingMiB(): number {
    return field(this.#read('status'), 'VmRSS') / 1024
  }

  async stop(): Promise<void> {
    clearInterval(this.#looking)
    this.#child.kill('SIGTERM')
    await once(this.#child, 'exit')
  }
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? NaN)
}

/** What a command of the agent prints. */
export async function ask([command, ...before]: Program, ...args: string[]): Promise<string> {
  return (await run(command, [...before, ...args])).stdout
}

export interface Serving {
  readonly url: string
  readonly publicKey: string
  stop(): Promise<void>
}

export async function serve(data: string, port: number): Promise<Serving> {
  const args = [serverMain, 'serve', '--data', data, '--port', String(port)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { listening, publicKey } = JSON.parse(line) as { listening: string; publicKey: string }
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  return { url: listening, publicKey, stop }
}

/** A drone's folder with its key and configuration, registered with a server. Gives its folder. */
export async function equip(
  folder: string,
  name: string,
  program: Program,
  { url, publicKey }: Serving,
  data: string,
): Promise<string> {
  const home = join(folder, name)
  await mkdir(join(home, 'logs'), { recursive: true })
  const keyFile = join(home, 'device.key')
  const key = JSON.parse(await ask(program, 'keygen', '--out', keyFile, '--json')) as { publicKey: string }
  await run(process.execPath, [serverMain, 'device', 'add', name, `--key=${key.publicKey}`, '--data', data])
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

interface Status {
  readonly totals: { readonly size: number; readonly queuedBytes: number; readonly receiptedBytes: number }
}

/** Resolves once the agent answers, and what it says holds. */
export async function untilStatus(
  program: Program,
  configFile: string,
  holds: (status: Status) => boolean,
): Promise<void> {
  for (;;) {
    const text = await ask(program, 'status', '--config', configFile, '--json').catch(() => '')
    if (text !== '' && holds(JSON.parse(text) as Status)) return
    await sleep(200)
  }
}
