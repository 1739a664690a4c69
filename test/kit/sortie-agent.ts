import { join } from 'node:path'
import { runDaemon } from '../../agent/daemon.ts'
import type { AgentConfig } from '../../agent/config.ts'
import { fetchStatus, requestFlush } from '../../agent/control/control-client.ts'
import type { FlushReport, StatusReport } from '../../agent/control/report.ts'
import { checkConfig } from '../../agent/load-config.ts'
import { realWorld, type World } from '../../agent/world.ts'
import type { DeviceId } from '../../protocol/ids.ts'
import { askUntil } from './ask-until.ts'
import type { RecordingJournal } from './fake-world.ts'
import type { LossyLink } from './lossy-link.ts'
import { hastyClock, Life, mortalWorld } from './sortie-life.ts'
import type { SortieServer } from './sortie-server.ts'

export interface AgentOptions {
  /** Settings of agent.yaml, over the kit's, group by group. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** What the one source of the kit has besides its paths. */
  readonly source?: Readonly<Record<string, unknown>>
  /** Other clock, files or chance. The journal is the sortie's. */
  readonly world?: World
  /** How many times as fast the agent's clock runs, so that its pauses cost a test little. */
  readonly haste?: number
}

const quick = {
  chunks: { maxBytes: '32KiB', maxAge: '50ms' },
  queue: { maxBytes: '64MiB' },
  delivery: { requestMaxBytes: '128KiB', requestTimeout: '60s', retry: { min: '10ms', max: '100ms' } },
  shutdownGrace: '1s',
  rescanInterval: '200ms',
}

/** Where an agent of a sortie is. */
export interface Place {
  readonly device: DeviceId
  readonly folder: string
  readonly logs: string
  readonly state: string
  readonly told: RecordingJournal
  readonly server: Pick<SortieServer, 'publicKey'>
  readonly link: LossyLink
  readonly isLinkDown: boolean
}

interface Run {
  readonly life: Life
  readonly stopping: AbortController
  readonly ended: Promise<void>
  readonly control: string
}

/** The agent of a sortie: one after the other on the same state. */
export class SortieAgent implements AsyncDisposable {
  /** How many were started. */
  starts = 0
  readonly #sortie: Place
  readonly #options: AgentOptions
  #run: Run | undefined

  constructor(sortie: Place, options: AgentOptions) {
    this.#sortie = sortie
    this.#options = options
  }

  /** Settings of the next start, over those of the sortie. */
  async start(settings: Readonly<Record<string, unknown>> = {}): Promise<void> {
    if (this.#run) throw new Error('an agent is running')
    const control = join(this.#sortie.folder, `agent-${++this.starts}.sock`)
    const config = this.config({ control, ...settings })
    const life = new Life()
    const stopping = new AbortController()
    const told = this.#sortie.told.named('agentStarted').length
    const ended = runDaemon(config, mortalWorld(this.#world(), life), stopping.signal)
    this.#run = { life, stopping, ended, control }
    await Promise.race([this.#sortie.told.told('agentStarted', told + 1), ended])
    if (this.#sortie.told.named('agentStarted').length === told)
      throw new Error('the agent ended at its start')
  }

  config(settings: Readonly<Record<string, unknown>> = {}): AgentConfig {
    const { folder, logs, state, device, link: air, server } = this.#sortie
    const value = {
      device,
      server: { url: `http://127.0.0.1:${air.port}`, publicKey: server.publicKey },
      key: join(folder, 'device.key'),
      state,
      control: join(folder, 'agent.sock'),
      sources: [{ paths: [join(logs, '**')], ...this.#options.source }],
      ...quick,
      ...this.#options.settings,
      ...settings,
    }
    return checkConfig({ value, where: () => 'sortie' }, folder, { env: {}, flags: new Map() })
  }

  #world(): World {
    const world = this.#options.world ?? realWorld()
    const clock = hastyClock(world.clock, this.#options.haste ?? 10)
    return { ...world, clock, journal: this.#sortie.told.journal }
  }

  get #running(): Run {
    if (!this.#run) throw new Error('no agent is running')
    return this.#run
  }

  status(): Promise<StatusReport> {
    return fetchStatus(this.#running.control)
  }

  /** The first status that fits. */
  statusUntil(fits: (report: StatusReport) => boolean): Promise<StatusReport> {
    return askUntil(() => this.status(), fits)
  }

  /** The last report of `logbox-agent flush`. The time is the agent's. */
  async flush(timeoutMs: number): Promise<FlushReport> {
    let last: FlushReport | undefined
    for await (const report of requestFlush(this.#running.control, timeoutMs)) last = report
    if (!last) throw new Error('the flush said nothing')
    return last
  }

  /** As by SIGTERM; resolves when it has ended. */
  async stop(): Promise<void> {
    const { stopping, ended } = this.#running
    this.#run = undefined
    stopping.abort()
    await ended
  }

  /** As by SIGKILL: what the kernel began is done, and nothing more. It ends what the link was told, but for `linkDown`. */
  async kill(): Promise<void> {
    const { life, stopping, ended } = this.#running
    this.#run = undefined
    const dying = life.end()
    stopping.abort()
    this.#sortie.link.cut()
    await dying
    // What is left of it finds nothing that it could work on, and says so.
    await ended.catch(() => undefined)
    if (!this.#sortie.isLinkDown) this.#sortie.link.restore()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#run) await this.kill()
  }
}
