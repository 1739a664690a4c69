import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

/** Somebody who takes connections and whatever comes, and never says a word. */
export class SilentServer implements AsyncDisposable {
  readonly port: number
  readonly #taken: Set<Socket>
  readonly #close: () => void

  static async start(): Promise<SilentServer> {
    const taken = new Set<Socket>()
    const server = createServer((socket) => {
      taken.add(socket)
      socket.on('error', () => undefined)
      socket.resume()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new SilentServer((server.address() as AddressInfo).port, taken, () => server.close())
  }

  private constructor(port: number, taken: Set<Socket>, close: () => void) {
    this.port = port
    this.#taken = taken
    this.#close = close
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#taken) socket.destroy()
    this.#close()
  }
}
