import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { existsSync, readFileSync } from 'node:fs'

/** A relay that reads nothing more once so many bytes have come, until it is told to; then it counts, and passes nothing on. */
export class StillReader implements AsyncDisposable {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #client: Socket | undefined
  #end: Promise<string> | undefined
  #isReadingOn = false

  static async start(port: number, afterBytes: number, host = '127.0.0.1'): Promise<StillReader> {
    const server = createServer()
    await once(server.listen(0, host), 'listening')
    const reader = new StillReader(server)
    server.on('connection', (client: Socket) => reader.#relay(client, connect(port, '127.0.0.1'), afterBytes))
    return reader
  }

  private constructor(server: Server) {
    this.port = (server.address() as AddressInfo).port
    this.#server = server
  }

  #relay(client: Socket, upstream: Socket, afterBytes: number): void {
    for (const socket of [client, upstream]) this.#sockets.add(socket.on('error', () => undefined))
    this.#client = client
    const { promise, resolve } = Promise.withResolvers<string>()
    this.#end = promise
    client.on('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code))
    client.on('end', () => resolve('the end'))
    upstream.pipe(client, { end: false })
    client.on('data', (bytes) => {
      if (client.bytesRead <= afterBytes) upstream.write(bytes)
      else if (!this.#isReadingOn) client.pause()
    })
  }

  /** Of what the client wrote: sent or to be sent by its kernel, and not acknowledged. 0 where that has no such connection. */
  get heldBytes(): number {
    return queuesOf(this.#client?.remotePort, this.port).sendBytes
  }

  /** Acknowledged by this one's kernel, and not read. */
  get arrivedBytes(): number {
    return queuesOf(this.port, this.#client?.remotePort).receivedBytes
  }

  /** Reads what comes, to the end. Gives how many bytes that were, and the code of the error that ended it. */
  async readOn(): Promise<{ readonly bytes: number; readonly end: string | undefined }> {
    const before = this.#client?.bytesRead ?? 0
    this.#isReadingOn = true
    this.#client?.resume()
    const end = await this.#end
    return { bytes: (this.#client?.bytesRead ?? 0) - before, end }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server.close(), 'close')
  }
}

const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')

/** In /proc/net/tcp, and tcp6: "sl local_address rem_address st tx_queue:rx_queue …" (proc(5)). */
function queuesOf(from = 0, to = 0): { readonly sendBytes: number; readonly receivedBytes: number } {
  const line = new RegExp(`:${hex(from)} [0-9A-F]+:${hex(to)} [0-9A-F]{2} ([0-9A-F]{8}):([0-9A-F]{8}) `)
  const [, sent = '0', received = '0'] = line.exec(tables()) ?? []
  return { sendBytes: Number.parseInt(sent, 16), receivedBytes: Number.parseInt(received, 16) }
}

const tables = (): string =>
  ['/proc/net/tcp', '/proc/net/tcp6']
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'latin1'))
    .join('')
