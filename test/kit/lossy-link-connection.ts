import { connect, type Socket } from 'node:net'
import { Lane, type Air, type Radio } from './lossy-link-radio.ts'

/** After how many bytes a connection dies. What is left out does not count. */
export interface Lifetime {
  readonly toServer?: number
  readonly toClient?: number
  /** How many connections die like this; the others live. Without it: all, until `restore`. */
  readonly times?: number
}

export type Way = 'toServer' | 'toClient'

export interface Target {
  readonly host: string
  readonly port: number
}

/** What a connection tells the link that it is part of. */
interface Owner {
  readonly passed: (way: Way, count: number) => void
  /** It is reset; so much had passed to the server since anything came back. */
  readonly reset: (unansweredBytes: number) => void
  /** It came to the end of its lifetime. */
  readonly died: () => void
  readonly closed: () => void
}

/** A client, the server, and what passes between them. */
export class Connection {
  readonly #client: Socket
  readonly #owner: Owner
  readonly #left = { toServer: Infinity, toClient: Infinity }
  #server: Socket | undefined
  #lanes: readonly Lane[] = []
  #unansweredBytes = 0
  #isOver = false
  #isForgotten = false

  constructor(client: Socket, owner: Owner) {
    this.#client = client
    this.#owner = owner
    client.on('error', () => undefined)
    client.on('close', () => this.#end())
  }

  start(target: Target, radios: Readonly<Record<Way, Radio>>, air: Air): void {
    if (this.#isOver || this.#isForgotten) return
    if (this.#left.toServer === 0) return this.#die()
    const server = connect({ ...target, allowHalfOpen: true })
    server.on('error', () => undefined)
    server.on('close', () => this.#end())
    this.#server = server
    const client = this.#client
    this.#lanes = [
      this.#carry(
        client,
        server,
        new Lane(client, radios.toServer, air, (bytes) => this.#pass(bytes, 'toServer')),
      ),
      this.#carry(
        server,
        client,
        new Lane(server, radios.toClient, air, (bytes) => this.#pass(bytes, 'toClient')),
      ),
    ]
  }

  #carry(from: Socket, to: Socket, lane: Lane): Lane {
    from.setNoDelay(true)
    from.on('end', () => lane.finish(() => to.end()))
    from.on('close', () => {
      if (from.readableEnded || this.#isForgotten) return
      // It broke off: what had left arrives, and then the far end hears of it.
      lane.drop()
      lane.finish(() => destroy(to))
    })
    from.resume()
    return lane
  }

  mayPass(lifetime: Lifetime | undefined): void {
    this.#left.toServer = lifetime?.toServer ?? Infinity
    this.#left.toClient = lifetime?.toClient ?? Infinity
  }

  reset(): void {
    if (this.#isOver) return
    this.#owner.reset(this.#unansweredBytes)
    for (const lane of this.#lanes) lane.drop()
    destroy(this.#client)
    if (this.#server) destroy(this.#server)
    this.#end()
  }

  forget(): void {
    this.#isForgotten = true
    for (const lane of this.#lanes) lane.drop()
  }

  #end(): void {
    const isDestroyed = this.#client.destroyed && (this.#server?.destroyed ?? true)
    if (this.#isOver || !isDestroyed) return
    this.#isOver = true
    this.#owner.closed()
  }

  #die(): void {
    this.reset()
    this.#owner.died()
  }

  async #pass(bytes: Uint8Array, way: Way): Promise<void> {
    const to = way === 'toServer' ? this.#server : this.#client
    if (this.#isOver || this.#isForgotten || !to || to.destroyed) return
    const passing = bytes.subarray(0, this.#left[way])
    this.#left[way] -= passing.length
    this.#unansweredBytes = way === 'toServer' ? this.#unansweredBytes + passing.length : 0
    this.#owner.passed(way, passing.length)
    if (passing.length > 0) await new Promise<void>((resolve) => to.write(passing, () => resolve()))
    if (this.#left[way] === 0) this.#die()
  }
}

/** By a reset, where there is something to reset. */
function destroy(socket: Socket): void {
  if (socket.connecting) socket.destroy()
  else socket.resetAndDestroy()
}
