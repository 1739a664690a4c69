/** The drone of the demo, or of another script: a folder with a key, a configuration, watched files and an agent. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StatusReport } from '../agent/control/report.ts'
import { ask, Daemon, run, type Command } from './demo-programs.ts'

export const device = 'mylittledrone'

export interface DroneOptions {
  readonly agent: Command
  /** Where key, configuration, queue and socket go. */
  readonly folder: string
  /** Every file in it is shipped. */
  readonly watched: string
  readonly url: string
  readonly receiptKey: string
  readonly requestMaxBytes: number
}

const startMs = 300_000

export class Drone implements AsyncDisposable {
  readonly publicKey: string
  readonly config: string
  readonly #options: DroneOptions
  readonly #signal: AbortSignal
  #daemon: Daemon | undefined

  private constructor(options: DroneOptions, publicKey: string, signal: AbortSignal) {
    this.#options = options
    this.config = join(options.folder, 'agent.yaml')
    this.publicKey = publicKey
    this.#signal = signal
  }

  /** Makes its key and its configuration. */
  static async make(options: DroneOptions, signal: AbortSignal): Promise<Drone> {
    const key = join(options.folder, 'device.key')
    const facts = JSON.parse(await ask(options.agent, ['keygen', '--out', key, '--json'], signal))
    const drone = new Drone(options, facts.publicKey, signal)
    // JSON is YAML.
    await writeFile(drone.config, JSON.stringify(settingsOf(options), null, 2))
    return drone
  }

  async start(): Promise<StatusReport> {
    const { agent, folder } = this.#options
    this.#daemon = await Daemon.start(agent, ['run', '--config', this.config], join(folder, 'agent.journal'))
    return this.until(() => true)
  }

  /** Waits until the agent answers, and its status is such. */
  async until(isSo: (status: StatusReport) => boolean): Promise<StatusReport> {
    const deadlineMs = performance.now() + startMs
    for (;;) {
      this.#daemon?.assertAlive()
      const status = await this.#status()
      if (status && isSo(status)) return status
      if (performance.now() > deadlineMs) throw new Error('the agent does not come to the awaited state')
      await sleep(100, undefined, { signal: this.#signal })
    }
  }

  /** Undefined while it does not answer. */
  async #status(): Promise<StatusReport | undefined> {
    const args = ['status', '--config', this.config, '--json']
    const { status, stdout } = await run(this.#options.agent, args, this.#signal)
    return status === 0 ? JSON.parse(stdout) : undefined
  }

  /** As a power cut ends it. */
  async kill(): Promise<void> {
    await this.#daemon?.stop('SIGKILL')
  }

  /** Its exit status. */
  async stop(): Promise<number | null | undefined> {
    return this.#daemon?.stop('SIGTERM')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.[Symbol.asyncDispose]()
  }
}

function settingsOf({ folder, watched, url, receiptKey, requestMaxBytes }: DroneOptions): object {
  return {
    device,
    server: { url, publicKey: receiptKey },
    key: join(folder, 'device.key'),
    state: join(folder, 'state'),
    control: join(folder, 'agent.sock'),
    // A person may name a hidden file, or a packed one.
    sources: [{ paths: [`${watched}/*`, `${watched}/.*`], exclude: [] }],
    chunks: { maxBytes: '256KiB', maxAge: '500ms' },
    delivery: { requestMaxBytes, retry: { min: '200ms', max: '1s' } },
    rescanInterval: '1s',
  }
}
