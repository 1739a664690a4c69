import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Connection, type Lifetime, type Target, type Way } from './lossy-link-connection.ts'
import { holdPort } from './lossy-link-port.ts'
import { mulberry32, Radio, waitUntil, type Air, type Conditions } from './lossy-link-radio.ts'

export interface LinkOptions extends Conditions {
  /** Where the server listens. */
  readonly port: number
  /** 127.0.0.1 where it is not given. */
  readonly host?: string
  /** Where the link listens on the loopback address; by default the kernel chooses. */
  readonly listen?: number
  /** Of all its chance. */
  readonly seed?: number
}

/** A relay on the loopback address that does what air does to a link. */
export async function openLossyLink(options: LinkOptions): Promise<LossyLink> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
  server.listen(options.listen ?? 0, '127.0.0.1')
  await once(server, 'listening')
  return new LossyLink(server, options)
}

export class LossyLink implements AsyncDisposable {
  /** Where clients connect to. */
  readonly port: number
  /** Since the link was opened. */
  connections = 0
  bytesToServer = 0
  bytesToClient = 0
  stalls = 0
  /** That had passed to the server on connections which were then reset, each since anything came back on it. */
  unansweredBytes = 0
  /** Connections that died at the end of a lifetime. */
  deaths = 0
  readonly #server: Server
  readonly #chance: () => number
  readonly #air: Air
  readonly #radios: Readonly<Record<Way, Radio>>
  readonly #open = new Set<Connection>()
  readonly #watchers = new Set<() => void>()
  #targets: readonly [Target, ...Target[]]
  #conditions: Conditions
  #isCut = false
  #lifetime: Lifetime | undefined
  #deathsBefore = 0
  /** While it is pending, no byte passes. */
  #hole: PromiseWithResolvers<void> | undefined
  /** While it refuses. */
  #held: Socket | undefined
  #stalledUntilMs = 0
  #nextStallMs = Infinity

  constructor(server: Server, { port, host = '127.0.0.1', seed = 1, ...conditions }: LinkOptions) {
    this.port = (server.address() as AddressInfo).port
    this.#server = server
    this.#targets = [{ host, port }]
    this.#chance = mulberry32(seed)
    this.#conditions = conditions
    this.#air = {
      conditions: () => this.#conditions,
      chance: this.#chance,
      clear: () => this.#clear(),
    }
    this.#radios = { toServer: new Radio(this.#air), toClient: new Radio(this.#air) }
    server.on('connection', (client) => void this.#accept(client))
    this.change(conditions)
  }

  /** From now on the air is like this; what is left out is perfect. */
  change(conditions: Conditions): void {
    this.#conditions = conditions
    this.#nextStallMs = performance.now() + this.#untilStallMs()
  }

  /** Resets what is open and whatever comes, until `restore`. */
  cut(): void {
    this.#isCut = true
    for (const connection of this.#open) connection.reset()
  }

  /** New connections are refused, as by a machine on which no server runs, until `restore`. Open ones stay. */
  refuse(): void {
    this.#server.close()
    this.#held ??= holdPort(this.port)
  }

  /** The link is good again. What a black hole holds comes through, as TCP would send it again. */
  restore(): void {
    this.#isCut = false
    this.#lifetime = undefined
    for (const connection of this.#open) connection.mayPass(undefined)
    this.#hole?.resolve()
    this.#hole = undefined
    if (!this.#server.listening) this.#server.listen(this.port, '127.0.0.1', () => this.#release())
  }

  #release(): void {
    this.#held?.destroy()
    this.#held = undefined
  }

  /** Each connection dies at exactly that byte: of those that are open counted from now, of others from their start. */
  cutAfter(lifetime: Lifetime): void {
    this.#lifetime = lifetime
    this.#deathsBefore = this.deaths
    for (const connection of this.#open) connection.mayPass(lifetime)
  }

  /** Connections stay, and new ones are taken, and nothing passes, until `restore`. */
  blackHole(): void {
    this.#hole ??= Promise.withResolvers<void>()
  }

  /** What is open is dead for ever and neither side is told, as after a change of address. New connections work. */
  halfOpen(): void {
    for (const connection of this.#open) connection.forget()
  }

  /** New connections go to these ports from now on, in turn. */
  retarget(first: number, ...others: readonly number[]): void {
    const [{ host }] = this.#targets
    this.#targets = [{ host, port: first }, ...others.map((port) => ({ host, port }))]
  }

  get #target(): Target {
    return this.#targets[this.connections % this.#targets.length] ?? this.#targets[0]
  }

  /** Resolves once it is so; looked at whenever something moved. */
  async until(isSo: (link: LossyLink) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const watch = (): void => {
      if (isSo(this)) resolve()
    }
    this.#watchers.add(watch)
    watch()
    await promise
    this.#watchers.delete(watch)
  }

  #moved(): void {
    for (const watch of this.#watchers) watch()
  }

  async #accept(client: Socket): Promise<void> {
    const target = this.#target
    this.connections++
    const connection: Connection = new Connection(client, {
      passed: (way, count) => this.#passed(way, count),
      reset: (bytes) => void (this.unansweredBytes += bytes),
      died: () => this.#died(),
      closed: () => this.#closed(connection),
    })
    this.#open.add(connection)
    connection.mayPass(this.#lifetime)
    this.#moved()
    if (this.#isCut) return connection.reset()
    await waitUntil(performance.now() + 2 * (this.#conditions.latencyMs ?? 0))
    await this.#clear()
    connection.start(target, this.#radios, this.#air)
  }

  async #clear(): Promise<void> {
    while (this.#hole) await this.#hole.promise
    while (performance.now() >= this.#nextStallMs) this.#stall()
    await waitUntil(this.#stalledUntilMs)
  }

  #stall(): void {
    this.stalls++
    this.#stalledUntilMs = this.#nextStallMs + (this.#conditions.stallMs ?? 0)
    this.#nextStallMs = this.#stalledUntilMs + this.#untilStallMs()
  }

  /** Exponential, as what comes without memory is. */
  #untilStallMs(): number {
    const { stallMs = 0, stallEveryMs = Infinity } = this.#conditions
    return stallMs === 0 ? Infinity : -Math.log(1 - this.#chance()) * stallEveryMs
  }

  #passed(way: Way, count: number): void {
    if (way === 'toServer') this.bytesToServer += count
    else this.bytesToClient += count
    this.#moved()
  }

  #died(): void {
    this.deaths++
    if (this.deaths - this.#deathsBefore >= (this.#lifetime?.times ?? Infinity)) this.restore()
    this.#moved()
  }

  #closed(connection: Connection): void {
    this.#open.delete(connection)
    this.#moved()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    this.#hole?.resolve()
    this.#hole = undefined
    this.#release()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }
}
