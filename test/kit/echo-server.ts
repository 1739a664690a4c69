import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** Sends back what it gets, and ends when its client does. */
export class EchoServer implements AsyncDisposable {
  readonly port: number
  /** What it has taken and not yet seen the end of. */
  readonly open = new Set<Socket>()
  readonly #stop: () => Promise<void>

  static async start(): Promise<EchoServer> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const stop = async (): Promise<void> => {
      server.close()
      await once(server, 'close')
    }
    const echo = new EchoServer((server.address() as AddressInfo).port, stop)
    server.on('connection', (socket) => echo.#serve(socket))
    return echo
  }

  private constructor(port: number, stop: () => Promise<void>) {
    this.port = port
    this.#stop = stop
  }

  #serve(socket: Socket): void {
    this.open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.open.delete(socket))
    socket.pipe(socket)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.open) socket.destroy()
    await this.#stop()
  }
}

/** A client that remembers what came back. */
export class EchoClient implements Disposable {
  readonly #socket: Socket
  #pieces: Buffer[] = []
  #moved = Promise.withResolvers<void>()
  /** Resolves when it is gone, with the code of what went wrong, if something did. */
  readonly gone: Promise<string>

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    let code = ''
    this.#socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? ''))
    this.#socket.on('data', (bytes) => {
      this.#pieces.push(bytes)
      this.#move()
    })
    this.gone = new Promise((resolve) => this.#socket.on('close', () => resolve(code)))
    void this.gone.then(() => this.#move())
  }

  #move(): void {
    this.#moved.resolve()
    this.#moved = Promise.withResolvers<void>()
  }

  send(bytes: Uint8Array | string): void {
    this.#socket.write(bytes)
  }

  /** All that came back, once it is this long. */
  async received(bytes: number): Promise<Buffer> {
    for (;;) {
      const all = Buffer.concat(this.#pieces)
      this.#pieces = [all]
      if (all.length >= bytes || this.#socket.destroyed) return all
      await this.#moved.promise
    }
  }

  /** Sends and gets it back: milliseconds. */
  async echo(bytes: Uint8Array | string): Promise<number> {
    const startMs = performance.now()
    const before = Buffer.concat(this.#pieces).length
    this.send(bytes)
    await this.received(before + bytes.length)
    return performance.now() - startMs
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}
