import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { decodeManifest, type Manifest } from '../../protocol/manifest.ts'
import { scanRecord } from '../../protocol/record.ts'

/** A proxy before the server on `port` that answers `status` itself to every request with a record that it dislikes. */
export class PickyProxy implements AsyncDisposable {
  readonly port: number
  readonly #close: () => Promise<void>

  static async start(
    port: number,
    dislikes: (manifest: Manifest) => boolean,
    status = 422,
  ): Promise<PickyProxy> {
    const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
      const body = await buffer(incoming)
      if (manifestsIn(body).some(dislikes)) response.writeHead(status).end('not through here')
      else await passOn(incoming, body, port, response)
    }
    const server = createServer((incoming, response) => {
      answer(incoming, response).catch(() => response.destroy())
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const close = async (): Promise<void> => {
      server.closeAllConnections()
      await once(server.close(), 'close')
    }
    return new PickyProxy((server.address() as AddressInfo).port, close)
  }

  private constructor(port: number, close: () => Promise<void>) {
    this.port = port
    this.#close = close
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close()
  }
}

async function passOn(
  { method, url, headers }: IncomingMessage,
  body: Uint8Array,
  port: number,
  response: ServerResponse,
): Promise<void> {
  const onward = request({ host: '127.0.0.1', port, method, path: url, headers })
  onward.end(body)
  const [answer] = (await once(onward, 'response')) as [IncomingMessage]
  response.writeHead(answer.statusCode ?? 502, answer.headers)
  response.end(await buffer(answer))
}

/** None where it is no batch. */
function manifestsIn(body: Uint8Array): Manifest[] {
  const manifests: Manifest[] = []
  for (let scan = scanRecord(body); scan.is === 'whole'; scan = scanRecord(body, scan.end)) {
    const manifest = decodeManifest(scan.frame.envelope.payload)
    if (manifest.ok) manifests.push(manifest.value)
  }
  return manifests
}
