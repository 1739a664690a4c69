import { mkdir, writeFile, appendFile, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { requestFlush } from '../../agent/control/control-client.ts'
import type { Clock } from '../../agent/clock.ts'
import { runDaemon } from '../../agent/daemon.ts'
import { makeKeyFile } from '../../agent/make-key.ts'
import { loadConfig } from '../../agent/load-config.ts'
import { realWorld } from '../../agent/world.ts'
import { base64url, parseDeviceId } from '../../protocol/ids.ts'
import { RecordingJournal } from './fake-world.ts'
import { PlayedServer, type Scenario } from './nock-server.ts'
import { tempFolder } from './temp-folder.ts'

/** Short, so that a scenario of ten failures is over in a second. */
const quick = {
  chunks: { maxBytes: '32KiB', maxAge: '20ms' },
  delivery: { requestTimeout: '30s', retry: { min: '10ms', max: '30ms' } },
  shutdownGrace: '0s',
  rescanInterval: '100ms',
}

export interface NockDroneOptions {
  /** Of agent.yaml, over the kit's, group by group. */
  readonly settings?: object
  /** What of the drone's clock is not the real one. */
  readonly clock?: Partial<Clock>
}

const address = 'http://logs.test'

/** The whole agent in this process, on a real folder, and a server that nock plays. */
export class NockDrone implements AsyncDisposable {
  readonly server: PlayedServer
  /** What the agent tells its journal: `told.told('deliveryFailed', 3)` waits for the third. */
  readonly told: RecordingJournal
  readonly #folder: string
  readonly #disposal: AsyncDisposableStack

  /** The agent runs, and its requests meet the scenario. */
  static async start(
    scenario: Scenario = [],
    { settings = {}, clock }: NockDroneOptions = {},
  ): Promise<NockDrone> {
    await using disposal = new AsyncDisposableStack()
    const { path: folder } = disposal.use(await tempFolder())
    await mkdir(join(folder, 'logs'))
    const device = parseDeviceId('hexa-7')
    if (device === undefined) throw new Error('hexa-7 is a device')
    const server = disposal.use(
      new PlayedServer(address, device, makeKeyFile(join(folder, 'device.key')), scenario),
    )
    const configFile = join(folder, 'agent.yaml')
    await writeFile(configFile, JSON.stringify(configOf(folder, server, settings)))
    const told = new RecordingJournal()
    const stopping = new AbortController()
    const config = loadConfig(configFile, { env: {}, flags: new Map() })
    const real = realWorld()
    const world = { ...real, journal: told.journal, clock: { ...real.clock, ...clock } }
    const running = runDaemon(config, world, stopping.signal)
    disposal.defer(async () => {
      stopping.abort()
      await running
    })
    await Promise.race([told.told('agentStarted'), running])
    return new NockDrone(folder, server, told, disposal.move())
  }

  private constructor(
    folder: string,
    server: PlayedServer,
    told: RecordingJournal,
    disposal: AsyncDisposableStack,
  ) {
    this.#folder = folder
    this.server = server
    this.told = told
    this.#disposal = disposal
  }

  path(name: string): string {
    return join(this.#folder, 'logs', name)
  }

  append(name: string, text: string | Uint8Array): Promise<void> {
    return appendFile(this.path(name), text)
  }

  /** Writes a line and has it land, again and again, until the scenario is over. Gives what was written. */
  async writeUntilPlayed(name: string): Promise<string> {
    let text = ''
    while (this.server.isPlaying || text === '') {
      const line = `line ${text.length}\n`
      text += line
      await this.append(name, line)
      await this.land()
    }
    return text
  }

  /** Resolves once everything has its receipt. */
  async land(): Promise<void> {
    for await (const report of requestFlush(join(this.#folder, 'agent.sock'), 120_000))
      if (report.done) return
    throw new Error(
      `not everything was delivered: ${JSON.stringify(this.told.named('deliveryFailed').at(-1))}`,
    )
  }

  /** A line for each file that the server does not have as it is here. */
  async whatIsWrong(): Promise<string[]> {
    const wrong: string[] = []
    for (const name of await readdir(join(this.#folder, 'logs'))) {
      const here = await readFile(this.path(name), 'utf8')
      const there = this.server.contentOf(this.path(name))
      if (here !== there) wrong.push(`${name}: ${here.length} bytes here, ${there.length} there`)
    }
    return wrong
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync()
  }
}

function configOf(folder: string, server: PlayedServer, settings: object): object {
  return {
    device: 'hexa-7',
    server: {
      url: server.address,
      publicKey: base64url(server.signer.publicKey.bytes),
      allowInsecure: true,
    },
    key: join(folder, 'device.key'),
    state: join(folder, 'state'),
    control: join(folder, 'agent.sock'),
    sources: [{ paths: [join(folder, 'logs/*')] }],
    ...quick,
    ...settings,
  }
}
