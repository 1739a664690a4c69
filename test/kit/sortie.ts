import {
  appendFile,
  chmod,
  copyFile,
  link,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FlushReport } from '../../agent/control/report.ts'
import { loadSigner } from '../../agent/key-file.ts'
import { makeKeyFile } from '../../agent/make-key.ts'
import { Queue } from '../../agent/queue/queue.ts'
import { realWorld } from '../../agent/world.ts'
import { parseDeviceId, type DeviceId } from '../../protocol/ids.ts'
import { makeStore, openStore, type Parts } from '../../server-stub/parts.ts'
import { Audit } from '../../server-stub/query/audit.ts'
import { askUntil } from './ask-until.ts'
import { RecordingJournal } from './fake-world.ts'
import { openLossyLink, type LossyLink } from './lossy-link.ts'
import { SortieAgent, type AgentOptions } from './sortie-agent.ts'
import { differences, type Generation } from './sortie-ledger.ts'
import { SortieServer } from './sortie-server.ts'
import { storedStreams, type StoredStream } from './sortie-streams.ts'
import { tempFolder } from './temp-folder.ts'

export interface SortieOptions extends AgentOptions {
  readonly serverParts?: (parts: Parts) => Partial<Parts>
}

/** A drone, the air and a server in this process: the real agent and the real server on real files, without their start-up. */
export class Sortie implements AsyncDisposable {
  readonly device: DeviceId
  readonly folder: string
  readonly logs: string
  readonly state: string
  readonly data: string
  readonly link: LossyLink
  /** What agents told, all of them together. */
  readonly told = new RecordingJournal()
  readonly agent: SortieAgent
  readonly server: SortieServer
  isLinkDown = false
  readonly #disposal: AsyncDisposableStack

  /** The server is up and knows the device, the link is good, the agent is not started. */
  static async start(options: SortieOptions = {}): Promise<Sortie> {
    await using disposal = new AsyncDisposableStack()
    const { path: folder } = disposal.use(await tempFolder())
    const device = deviceOf('hexa-7')
    await mkdir(join(folder, 'logs'))
    const key = makeKeyFile(join(folder, 'device.key'))
    const data = join(folder, 'server')
    {
      await using store = await makeStore(data)
      await store.catalog.addDevice(device, key, store.clock.now())
    }
    const server = disposal.use(new SortieServer(data, options.serverParts))
    await server.start()
    const air = disposal.use(await openLossyLink({ port: server.port }))
    return new Sortie(folder, device, options, { air, server }, disposal.move())
  }

  private constructor(
    folder: string,
    device: DeviceId,
    options: SortieOptions,
    { air, server }: { readonly air: LossyLink; readonly server: SortieServer },
    disposal: AsyncDisposableStack,
  ) {
    this.device = device
    this.folder = folder
    this.logs = join(folder, 'logs')
    this.state = join(folder, 'state')
    this.data = join(folder, 'server')
    this.link = air
    this.server = server
    this.#disposal = disposal
    this.agent = disposal.use(new SortieAgent(this, options))
  }

  path(name: string): string {
    return join(this.logs, name)
  }

  async append(name: string, bytes: Uint8Array | string): Promise<void> {
    await appendFile(this.path(name), bytes)
  }

  /** The file anew, from its start, as by O_TRUNC. */
  async write(name: string, bytes: Uint8Array | string): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true })
    await writeFile(this.path(name), bytes)
  }

  /** Bytes in the middle of the file. */
  async patch(name: string, offset: number, bytes: Uint8Array | string): Promise<void> {
    await using file = await open(this.path(name), 'r+')
    const buffer = Buffer.from(bytes)
    await file.write(buffer, 0, buffer.length, offset)
  }

  read(name: string): Promise<Buffer> {
    return readFile(this.path(name))
  }

  rename(from: string, to: string): Promise<void> {
    return rename(this.path(from), this.path(to))
  }

  truncate(name: string, length = 0): Promise<void> {
    return truncate(this.path(name), length)
  }

  copy(from: string, to: string): Promise<void> {
    return copyFile(this.path(from), this.path(to))
  }

  remove(name: string): Promise<void> {
    return rm(this.path(name))
  }

  hardLink(from: string, to: string): Promise<void> {
    return link(this.path(from), this.path(to))
  }

  /** The link `name` leads to `target`, at once and at any time. */
  async symlink(target: string, name: string): Promise<void> {
    const fresh = `${this.path(name)}.new`
    await symlink(this.path(target), fresh)
    await rename(fresh, this.path(name))
  }

  chmod(name: string, mode: number): Promise<void> {
    return chmod(this.path(name), mode)
  }

  linkDown(): void {
    this.isLinkDown = true
    this.link.cut()
  }

  linkUp(): void {
    this.isLinkDown = false
    this.link.restore()
  }

  /** Everything that stands in the files has a receipt; throws where it has not in time, which is the agent's. */
  async land(timeoutMs = 3_000_000): Promise<FlushReport> {
    const report = await this.agent.flush(timeoutMs)
    if (!report.done) throw new Error(`not landed: ${JSON.stringify(report)}\n${this.showTold()}`)
    return report
  }

  /** The queue of an agent that has ended. */
  queue(): Promise<Queue> {
    const options = { device: this.device, stateDirectory: this.state, maxBytes: 1 << 30 }
    return Queue.open(options, loadSigner(join(this.folder, 'device.key')), realWorld())
  }

  async streams(): Promise<StoredStream[]> {
    await using store = await openStore(this.data)
    return await storedStreams(store, this.device, this.logs)
  }

  /** What the server has once it fits; looked at again and again. Throws where that does not come. */
  async streamsUntil(fits: (streams: readonly StoredStream[]) => boolean): Promise<StoredStream[]> {
    const endMs = performance.now() + patienceMs
    const isOver = (): boolean => performance.now() > endMs
    const streams = await askUntil(
      () => this.streams(),
      (now) => fits(now) || isOver(),
    )
    if (!fits(streams)) throw new Error(`${showStreams(streams)}\n${this.showTold()}`)
    return streams
  }

  /** A line for each finding of the server's audit. */
  async verify(): Promise<string[]> {
    await using store = await openStore(this.data)
    const findings = await Array.fromAsync(new Audit(store).findings())
    return findings.map((finding) => JSON.stringify(finding))
  }

  /** Throws unless the server has exactly these generations, each byte once or named as lost, and all of it verifies. */
  async expectGenerations(expected: readonly Generation[]): Promise<void> {
    const wrong = [...differences(expected, await this.streams()), ...(await this.verify())]
    if (wrong.length > 0) throw new Error(`${wrong.join('\n')}\n${this.showTold()}`)
  }

  /** The last of what the agents told that a journal would show. */
  showTold(): string {
    const steps = /^(segment|index|request|receipt|forgotten)/
    const facts = this.told.facts.filter(({ name }) => !steps.test(name)).slice(-30)
    return facts.map(({ name, fields }) => `  ${name} ${fields.map(String).join(' ')}`).join('\n')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync()
  }
}

/** Far more than anything here takes, on a busy machine too. */
const patienceMs = 300_000

function showStreams(streams: readonly StoredStream[]): string {
  const shown = streams.map(({ path, bytes, losses, close }) => ({
    path,
    bytes: bytes.length,
    losses,
    close,
  }))
  return `the server still has ${JSON.stringify(shown)}`
}

function deviceOf(name: string): DeviceId {
  const device = parseDeviceId(name)
  if (device === undefined) throw new Error(`${name} is no name of a device`)
  return device
}
