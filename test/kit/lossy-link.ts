import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface LinkOptions {
  /** Where the server listens on the loopback address. */
  readonly port: number
  /** Added to every byte, one way. */
  readonly latencyMs?: number
  /** Each way. */
  readonly bytesPerSecond?: number
}

/** After how many bytes a connection dies. What is left out does not count. */
export interface Lifetime {
  readonly toServer?: number
  readonly toClient?: number
  /** How many connections die like this; the others live. Without it: all, until `restore`. */
  readonly times?: number
}

/** A relay on the loopback address that does what air does to a link. Bytes are held and cut, never altered. */
export async function openLossyLink(options: LinkOptions): Promise<LossyLink> {
  const server = createServer({ pauseOnConnect: true })
  const link = new LossyLink(server, options)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return link
}

type Way = 'toServer' | 'toClient'

/** Read ahead of a slow way, at most. */
const maxHeldBytes = 256 * 1024

export class LossyLink implements AsyncDisposable {
  /** Since the link was opened. */
  connections = 0
  bytesToServer = 0
  bytesToClient = 0
  readonly #server: Server
  readonly #options: LinkOptions
  readonly #open = new Set<Connection>()
  readonly #watchers = new Set<() => void>()
  #target: number
  #isCut = false
  #lifetime: Lifetime | undefined
  #deaths = 0
  /** While it is pending, no byte passes. */
  #hole: PromiseWithResolvers<void> | undefined

  constructor(server: Server, options: LinkOptions) {
    this.#server = server
    this.#options = options
    this.#target = options.port
    server.on('connection', (client) => this.#accept(client))
  }

  /** Where clients connect to. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Resets what is open and whatever comes, until `restore`. */
  cut(): void {
    this.#isCut = true
    for (const connection of this.#open) connection.reset()
  }

  /** The link is good again. What a black hole holds comes through, as TCP would send it again. */
  restore(): void {
    this.#isCut = false
    this.#lifetime = undefined
    for (const connection of this.#open) connection.mayPass(undefined)
    this.#hole?.resolve()
    this.#hole = undefined
  }

  /** Each connection dies at exactly that byte: of those that are open counted from now, of others from their start. */
  cutAfter(lifetime: Lifetime): void {
    this.#lifetime = lifetime
    this.#deaths = 0
    for (const connection of this.#open) connection.mayPass(lifetime)
  }

  /** Connections stay, and new ones are taken, and nothing passes, until `restore`. */
  blackHole(): void {
    this.#hole ??= Promise.withResolvers<void>()
  }

  /** New connections go to this port from now on. */
  retarget(port: number): void {
    this.#target = port
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

  #accept(client: Socket): void {
    this.connections++
    if (this.#isCut) {
      client.resetAndDestroy()
      return this.#moved()
    }
    const server = connect(this.#target, '127.0.0.1')
    const connection: Connection = new Connection(client, server, this.#options, {
      held: () => this.#hole?.promise,
      passed: (way, count) => {
        if (way === 'toServer') this.bytesToServer += count
        else this.bytesToClient += count
        this.#moved()
      },
      died: () => {
        this.#deaths++
        if (this.#deaths >= (this.#lifetime?.times ?? Infinity)) this.restore()
      },
      closed: () => {
        this.#open.delete(connection)
        this.#moved()
      },
    })
    this.#open.add(connection)
    connection.mayPass(this.#lifetime)
    connection.start()
    this.#moved()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    this.#hole?.resolve()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** What a connection asks, and tells, of the link that it is part of. */
interface Air {
  readonly held: () => Promise<void> | undefined
  readonly passed: (way: Way, count: number) => void
  /** It came to the end of its lifetime. */
  readonly died: () => void
  readonly closed: () => void
}

class Connection {
  readonly #client: Socket
  readonly #server: Socket
  readonly #options: LinkOptions
  readonly #air: Air
  readonly #left = { toServer: Infinity, toClient: Infinity }
  #isOver = false

  constructor(client: Socket, server: Socket, options: LinkOptions, air: Air) {
    this.#client = client
    this.#server = server
    this.#options = options
    this.#air = air
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      // A side that went away takes the other with it; how, the bytes that arrived tell.
      socket.on('error', () => this.reset())
      socket.on('close', () => this.#end())
    }
  }

  start(): void {
    this.#carry(this.#client, this.#server, 'toServer')
    this.#carry(this.#server, this.#client, 'toClient')
    if (this.#left.toServer === 0) this.#die()
  }

  mayPass(lifetime: Lifetime | undefined): void {
    this.#left.toServer = lifetime?.toServer ?? Infinity
    this.#left.toClient = lifetime?.toClient ?? Infinity
  }

  reset(): void {
    if (this.#isOver) return
    for (const socket of [this.#client, this.#server]) socket.resetAndDestroy()
    this.#end()
  }

  #end(): void {
    if (this.#isOver || !(this.#client.destroyed && this.#server.destroyed)) return
    this.#isOver = true
    this.#air.closed()
  }

  #die(): void {
    this.reset()
    this.#air.died()
  }

  /** One way: each piece is due by latency and rate after it came, and they stay in order. */
  #carry(from: Socket, to: Socket, way: Way): void {
    const { latencyMs = 0, bytesPerSecond = Infinity } = this.#options
    let carrying = Promise.resolve()
    let freeMs = 0
    let heldBytes = 0
    from.on('data', (piece) => {
      const bytes = piece as Buffer
      freeMs = Math.max(freeMs, performance.now()) + (bytes.length * 1000) / bytesPerSecond
      const dueMs = freeMs + latencyMs
      heldBytes += bytes.length
      if (heldBytes > maxHeldBytes) from.pause()
      carrying = carrying.then(async () => {
        await waitUntil(dueMs)
        await this.#pass(bytes, to, way)
        heldBytes -= bytes.length
        if (heldBytes <= maxHeldBytes) from.resume()
      })
    })
    from.on('end', () => void carrying.then(() => to.end()))
    from.resume()
  }

  async #pass(bytes: Buffer, to: Socket, way: Way): Promise<void> {
    await this.#air.held()
    if (this.#isOver || to.destroyed) return
    const passing = bytes.subarray(0, this.#left[way])
    this.#left[way] -= passing.length
    this.#air.passed(way, passing.length)
    if (passing.length > 0) await new Promise<void>((resolve) => to.write(passing, () => resolve()))
    if (this.#left[way] === 0) this.#die()
  }
}

async function waitUntil(dueMs: number): Promise<void> {
  const ms = dueMs - performance.now()
  if (ms > 0) await sleep(ms)
}
