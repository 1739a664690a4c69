import type { Agent, ClientRequest } from 'node:http'
import { Socket } from 'node:net'

/** What an agent of Node has and does not document: makes a connection, for a request or for the first of those that wait. */
interface Making {
  createSocket(request: ClientRequest, ...rest: readonly unknown[]): void
}

/**
 * Every connection that some agents make, until it is closed. An agent itself knows none to a proxy before the tunnel stands,
 * with TLS in it, nor does the request for which it is made: somebody has to end it where that never comes, or is refused.
 */
export class Connections implements Disposable {
  readonly #agents: readonly Agent[]
  readonly #open = new Set<Socket>()
  readonly #madeFor = new WeakMap<ClientRequest, Socket>()
  #asking: ClientRequest | undefined

  constructor(agents: readonly Agent[]) {
    this.#agents = agents
    for (const agent of agents) this.#follow(agent)
  }

  /** What was made for a request that has no socket yet; undefined where it waits for one that is free. */
  madeFor(request: ClientRequest): Socket | undefined {
    return this.#madeFor.get(request)
  }

  /** Ends all of them: those that are kept, in use, and not finished. */
  [Symbol.dispose](): void {
    for (const agent of this.#agents) agent.destroy()
    for (const socket of this.#open) socket.destroy()
  }

  #follow(agent: Agent): void {
    const making = agent as Agent & Making
    const createSocket = making.createSocket.bind(agent)
    const createConnection = agent.createConnection.bind(agent)
    making.createSocket = (request, ...rest) => {
      this.#asking = request
      createSocket(request, ...rest)
    }
    agent.createConnection = (options, ready) => {
      const made = createConnection(options, (error, socket) => {
        // A proxy that refuses may keep its connection open for as long as it likes.
        if (error) made?.destroy()
        ready?.(error, socket)
      })
      if (made instanceof Socket) this.#note(made, agent)
      return made
    }
  }

  #note(socket: Socket, { requests }: Agent): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    // Its request was given up before it could take it: nobody would look after it while it connects. One for which another
    // request waits is taken at once; without it there would be another, and so on for ever.
    socket.on('free', () => {
      if (socket.connecting && Object.keys(requests).length === 0) socket.destroy()
    })
    if (this.#asking) this.#madeFor.set(this.#asking, socket)
    this.#asking = undefined
  }
}
