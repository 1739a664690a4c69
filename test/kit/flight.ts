import { appendFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fetchStatus, requestFlush } from '../../agent/control/control-client.ts'
import type { FlushReport, StatusReport } from '../../agent/control/report.ts'
import { loadSigner } from '../../agent/key-file.ts'
import { makeKeyFile } from '../../agent/make-key.ts'
import { Queue } from '../../agent/queue/queue.ts'
import { realWorld } from '../../agent/world.ts'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import { parseDeviceId, type DeviceId } from '../../protocol/ids.ts'
import { makeStore, openStore } from '../../server-stub/parts.ts'
import { askUntil } from './ask-until.ts'
import { configOf, deviceName } from './flight-config.ts'
import { differences, findings } from './flight-oracle.ts'
import { openLossyLink, type LinkOptions, type LossyLink } from './lossy-link.ts'
import { Program, run, type Ended, type Ending } from './program.ts'
import { tempFolder } from './temp-folder.ts'

export interface FlightOptions {
  /** Settings of agent.yaml, over the kit's, group by group. */
  readonly settings?: Readonly<Record<string, unknown>>
  readonly link?: Omit<LinkOptions, 'port'>
  /** Without it the server knows the device. */
  readonly isUnregistered?: boolean
  /** Where the agent's state is; by default in the flight's folder. */
  readonly state?: string
}

/** A drone, the air and a server: real processes, a real disk, and a link that does what it is told. */
export class Flight implements AsyncDisposable {
  readonly device: DeviceId
  readonly logs: string
  readonly state: string
  /** The server's data folder. */
  readonly data: string
  readonly configFile: string
  readonly link: LossyLink
  readonly deviceKey: PublicKey
  agent: Program | undefined
  server: Program | undefined
  /** Where the server itself listens, behind the link. */
  serverPort: number
  readonly #folder: string
  readonly #disposal: AsyncDisposableStack

  /** The server is up and knows the device, the link is good, the agent is not started. */
  static async start(options: FlightOptions = {}): Promise<Flight> {
    await using disposal = new AsyncDisposableStack()
    const { path: folder } = disposal.use(await tempFolder())
    await mkdir(join(folder, 'logs'))
    const deviceKey = makeKeyFile(join(folder, 'device.key'))
    const data = join(folder, 'server')
    if (!options.isUnregistered) await register(data, deviceKey)
    const { server, port, publicKey } = await serve(data)
    const link = disposal.use(await openLossyLink({ ...options.link, port }))
    const state = options.state ?? join(folder, 'state')
    const facts = { folder, state, publicKey, port: link.port }
    const configFile = join(folder, 'agent.yaml')
    await writeFile(configFile, JSON.stringify(configOf(facts, options.settings ?? {})))
    const places = { folder, state, data, configFile, deviceKey }
    return new Flight(places, link, { server, port }, disposal.move())
  }

  private constructor(
    places: Pick<Flight, 'state' | 'data' | 'configFile' | 'deviceKey'> & { readonly folder: string },
    link: LossyLink,
    { server, port }: { readonly server: Program; readonly port: number },
    disposal: AsyncDisposableStack,
  ) {
    this.device = asDevice(deviceName)
    this.#folder = places.folder
    this.logs = join(places.folder, 'logs')
    this.state = places.state
    this.data = places.data
    this.configFile = places.configFile
    this.deviceKey = places.deviceKey
    this.link = link
    this.server = server
    this.serverPort = port
    this.#disposal = disposal
    disposal.defer(async () => {
      await this.agent?.kill()
      await this.server?.kill()
    })
  }

  get folder(): string {
    return this.#folder
  }

  get #control(): string {
    return join(this.#folder, 'agent.sock')
  }

  /** Of a log, by its name. */
  path(name: string): string {
    return join(this.logs, name)
  }

  append(name: string, bytes: Uint8Array | string): Promise<void> {
    return appendFile(this.path(name), bytes)
  }

  /** The agent, once it has its queue and its socket. */
  async startAgent(args: readonly string[] = []): Promise<Program> {
    return this.launch(Program.start('agent/main.ts', ['run', '--config', this.configFile, ...args]))
  }

  /** The agent that kills itself when it has told `step` for the `nth` time. */
  async startDyingAgent(step: string, nth: number): Promise<Program> {
    return this.launch(Program.start('test/kit/dying-agent.ts', [this.configFile, step, String(nth)]))
  }

  /** Takes this process for the agent, and waits until it is there. */
  async launch(agent: Program): Promise<Program> {
    if (this.agent?.isRunning) throw new Error('an agent is running')
    this.agent = agent
    await agent.line(/ agentStarted /)
    return agent
  }

  /** SIGTERM, and how it ended. */
  async stopAgent(): Promise<Ending | undefined> {
    this.agent?.signal('SIGTERM')
    return this.agent?.exited
  }

  async killAgent(): Promise<void> {
    await this.agent?.kill()
  }

  /** The server again; drones see it where it was. */
  async startServer(args: readonly string[] = []): Promise<Program> {
    return this.#serve(Program.start('server-stub/main.ts', [...serveArguments(this.data), ...args]))
  }

  /** The server that kills itself when it has told `step` for the `nth` time. */
  async startDyingServer(step: string, nth: number): Promise<Program> {
    return this.#serve(Program.start('test/kit/dying-server.ts', [this.data, step, String(nth)]))
  }

  async #serve(server: Program): Promise<Program> {
    if (this.server?.isRunning) throw new Error('a server is running')
    this.server = server
    const { port } = await listening(server)
    this.serverPort = port
    this.link.retarget(port)
    return server
  }

  /** The server's disk is a new one: its receipt key was kept, its records were not. It knows the device. */
  async loseStore(): Promise<void> {
    await this.stopServer()
    for (const name of await readdir(this.data))
      if (name !== 'receipt.key') await rm(join(this.data, name), { recursive: true })
    await this.register()
  }

  async killServer(): Promise<void> {
    await this.server?.kill()
  }

  async stopServer(): Promise<Ending | undefined> {
    this.server?.signal('SIGTERM')
    return this.server?.exited
  }

  agentCommand(...args: readonly string[]): Promise<Ended> {
    const [command = '', ...rest] = args
    return run('agent/main.ts', [command, '--config', this.configFile, ...rest])
  }

  serverCommand(...args: readonly string[]): Promise<Ended> {
    return run('server-stub/main.ts', [...args, '--data', this.data])
  }

  /** `logbox-agent flush --json`: its exit status and its last line. */
  async flush(timeout = '5m'): Promise<{ readonly status: number | null; readonly report: FlushReport }> {
    const { status, stdout, stderr } = await this.agentCommand('flush', '--json', '--timeout', timeout)
    const last = stdout.trimEnd().split('\n').at(-1)
    if (!last) throw new Error(`flush ended with ${status} and said nothing: ${stderr}\n${this.#journals()}`)
    return { status, report: JSON.parse(last) as FlushReport }
  }

  /** Everything that stands in the files has a receipt; throws where it has not in time. As `flush`, without its program. */
  async land(timeoutMs = 300_000): Promise<FlushReport> {
    const reports = await Array.fromAsync(requestFlush(this.#control, timeoutMs)).catch((cause: unknown) => {
      throw new Error(`not landed\n${this.#journals()}`, { cause })
    })
    const last = reports.at(-1)
    if (!last?.done) throw new Error(`not landed: ${JSON.stringify(last)}\n${this.#journals()}`)
    return last
  }

  /** What the agent says over its control socket. */
  status(): Promise<StatusReport> {
    return fetchStatus(this.#control)
  }

  /** The first status that fits. */
  statusUntil(fits: (report: StatusReport) => boolean): Promise<StatusReport> {
    return askUntil(() => this.status(), fits)
  }

  /** `logbox-server files --json` */
  async files(): Promise<readonly { path: string; bytes: number; whole: boolean; stream: string }[]> {
    const { stdout } = await this.serverCommand('files', '--json')
    return JSON.parse(stdout) as { path: string; bytes: number; whole: boolean; stream: string }[]
  }

  /** `logbox-server cat`, by the path on the drone or the stream. */
  async cat(name: string): Promise<Uint8Array> {
    const args = ['cat', this.device, name, '--data', this.data]
    await using program = Program.start('server-stub/main.ts', args)
    await program.exited
    return program.stdout
  }

  /** `logbox-server verify --json` */
  async verify(): Promise<{ readonly status: number | null; readonly problems: readonly unknown[] }> {
    const { status, stdout } = await this.serverCommand('verify', '--json')
    const { problems } = JSON.parse(stdout) as { problems: readonly unknown[] }
    return { status, problems }
  }

  async register(): Promise<void> {
    await register(this.data, this.deviceKey)
  }

  /** Throws unless the server has every file of the drone byte for byte, nothing twice, and all of it verifies. */
  async expectWhole(): Promise<void> {
    const wrong = await this.whatIsWrong()
    if (wrong.length > 0) throw new Error(`${wrong.join('\n')}\n${this.#journals()}`)
  }

  /** A line for each thing that breaks the promise. */
  async whatIsWrong(): Promise<string[]> {
    await using store = await openStore(this.data)
    return [...(await findings(store)), ...(await differences(this.logs, this.device, store))]
  }

  /** Stops the agent and looks into its queue: nothing waits, nothing is set aside, no segment is left. */
  async expectQueueEmpty(): Promise<void> {
    const ending = await this.stopAgent()
    if (ending?.status !== 0)
      throw new Error(`the agent ended with ${JSON.stringify(ending)}\n${this.#journals()}`)
    const options = { device: this.device, stateDirectory: this.state, maxBytes: 1 << 30 }
    const signer = loadSigner(join(this.#folder, 'device.key'))
    await using queue = await Queue.open(options, signer, realWorld())
    const left = await readdir(join(this.state, 'segments'))
    if (queue.ledger.records > 0 || queue.aside.length > 0 || left.length > 0) {
      throw new Error(
        `${queue.ledger.records} records, ${queue.aside.length} aside, and segments ${left.join(' ')}`,
      )
    }
  }

  #journals(): string {
    return `agent:\n${lastLines(this.agent)}\nserver:\n${lastLines(this.server)}`
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync()
  }
}

const lastLines = (program: Program | undefined): string => program?.lines.slice(-15).join('\n') ?? 'none'

const serveArguments = (data: string): string[] => ['serve', '--data', data, '--port', '0']

async function serve(data: string): Promise<Awaited<ReturnType<typeof listening>> & { server: Program }> {
  const server = Program.start('server-stub/main.ts', serveArguments(data))
  return { server, ...(await listening(server)) }
}

/** What the server says of itself once it is there. */
async function listening(server: Program): Promise<{ readonly port: number; readonly publicKey: string }> {
  const line = await server.line(/^\{"listening":/)
  const { listening: url, publicKey } = JSON.parse(line) as { listening: string; publicKey: string }
  return { port: Number(new URL(url).port), publicKey }
}

async function register(data: string, key: PublicKey): Promise<void> {
  await using store = await makeStore(data)
  await store.catalog.addDevice(asDevice(deviceName), key, store.clock.now())
}

function asDevice(name: string): DeviceId {
  const device = parseDeviceId(name)
  if (device === undefined) throw new Error(`${name} is no name of a device`)
  return device
}
