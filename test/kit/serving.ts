import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect, type AddressInfo, type Socket } from 'node:net'
import type { Certificate } from './certificates.ts'

export type Served = AsyncDisposable & { readonly port: number }

/** Listens at a port of the loopback address that the kernel chooses. */
export async function opened(server: Server): Promise<Served> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await once(server.close(), 'close')
  }
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close }
}

export interface Proxy extends Served {
  readonly tunnels: string[]
  readonly requests: string[]
}

/** One that tunnels to where it is asked to, and passes plain requests to nobody. With a certificate it speaks TLS itself. */
export async function openProxy(own?: Certificate, asked?: () => void): Promise<Proxy> {
  const tunnels: string[] = []
  const requests: string[] = []
  const listener = ({ url = '' }: IncomingMessage, response: { end(text: string): unknown }): void => {
    requests.push(url)
    response.end('by proxy')
  }
  const server = own
    ? createTlsServer({ cert: own.certificate, key: own.key }, listener)
    : createServer(listener)
  const clients = new Set<Socket>()
  server.on('connect', ({ url = '' }: IncomingMessage, client: Socket, head: Buffer) => {
    tunnels.push(url)
    asked?.()
    clients.add(client)
    const upstream = connect(Number(url.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      upstream.write(head)
      upstream.pipe(client).pipe(upstream)
    })
    for (const socket of [client, upstream]) socket.on('error', () => undefined)
    client.on('close', () => upstream.destroy())
  })
  const served = await opened(server)
  const close = async (): Promise<void> => {
    for (const client of clients) client.destroy()
    await served[Symbol.asyncDispose]()
  }
  return { ...served, tunnels, requests, [Symbol.asyncDispose]: close }
}
