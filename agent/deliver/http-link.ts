import type { ClientRequest } from 'node:http'
import got, { RequestError, type Got, type Response } from 'got'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import type { Connections } from './connections.ts'
import { openAgents } from './http-agents.ts'
import { linkCodes, type Answer, type Answered, type Link, type LinkRequest } from './link.ts'
import { reset } from './reset.ts'
import { StallWatch } from './stall-watch.ts'
import type { Way } from './way.ts'

export interface HttpLinkOptions extends Way {
  readonly server: URL
  /** How long an exchange may stand still: a slow link is given all the time it needs while bytes move. */
  readonly stallMs: number
}

/** The link over HTTP or HTTPS: a few connections that are kept open, each with one request at a time. */
export async function httpLink(
  options: HttpLinkOptions,
  { clock, files }: Pick<World, 'clock' | 'files'>,
): Promise<Link> {
  const { server, stallMs } = options
  const { connections, ...agent } = await openAgents(server.protocol, options)
  // Retrying, redirecting and judging a status are not this layer's: what comes back is told as it is. There is no
  // deadline on the whole, and got's `socket` is not used: it looks at Node's buffers only, and so cuts an upload that
  // the kernel is still sending.
  const client = got.extend({
    agent,
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    decompress: false,
    cookieJar: undefined,
    cache: false,
    responseType: 'buffer',
    timeout: { lookup: stallMs, connect: stallMs, secureConnect: stallMs },
  })

  return {
    send: (request, signal) => {
      const target = new URL(`.${request.path}`, withSlash(server))
      const watch = new StallWatch(stallMs, clock, files)
      return new Exchange(request, watch, connections).run(client, target, signal)
    },
    [Symbol.asyncDispose]: async () => {
      connections[Symbol.dispose]()
    },
  }
}

/** One request and its answer. */
class Exchange {
  readonly #request: LinkRequest
  readonly #watch: StallWatch
  readonly #connections: Connections
  #asking: ClientRequest | undefined
  readonly #ending = new AbortController()
  #sentBytes = 0
  #cutBy: Cut | undefined
  /** got settles nothing where it is aborted between making a request and hearing of it. */
  readonly #wasCut = Promise.withResolvers<Cut>()

  constructor(request: LinkRequest, watch: StallWatch, connections: Connections) {
    this.#request = request
    this.#watch = watch
    this.#connections = connections
  }

  async run(client: Got, target: URL, signal: AbortSignal): Promise<Answer> {
    const abandon = (): void => this.#cut('abandoned')
    signal.addEventListener('abort', abandon)
    if (signal.aborted) abandon()
    const watching = this.#watch.stalled(this.#ending.signal).then((isStalled) => {
      if (isStalled) this.#cut('stalled')
    })
    try {
      const response = await Promise.race([this.#exchange(client, target), this.#wasCut.promise])
      if (typeof response === 'string') return this.#asCut(response)
      return { ...toAnswer(response), hangUp: () => this.#watch.socket?.destroy() }
    } catch (cause) {
      if (!(cause instanceof RequestError)) throw cause
      return this.#failed(cause)
    } finally {
      signal.removeEventListener('abort', abandon)
      this.#ending.abort()
      await watching
    }
  }

  async #exchange(client: Got, target: URL): Promise<Response<Uint8Array>> {
    const { method, mediaType, accept, body, maxAnswerBytes } = this.#request
    const about = body && {
      body: this.#pieces(body),
      headers: { accept, 'content-type': mediaType, 'content-length': String(body.length) },
    }
    const asking = client(target, { method, headers: { accept }, signal: this.#ending.signal, ...about })
    void asking.on('request', (request) => this.#follow(request))
    void asking.on('downloadProgress', ({ transferred }) => {
      this.#watch.answered(transferred)
      if (transferred > maxAnswerBytes) this.#cut('tooLong')
    })
    return asking as unknown as Promise<Response<Uint8Array>>
  }

  #follow(request: ClientRequest): void {
    this.#asking = request
    request.once('socket', (socket) => (this.#watch.socket = socket))
    // It was given up while the request was made.
    if (this.#cutBy !== undefined) this.#dropConnection()
    if (!this.#request.body) this.#watch.whole(0)
  }

  /** got asks for the next piece when the connection has taken the last one. */
  async *#pieces(body: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#sentBytes < body.length) {
      const piece = await this.#next(body.subarray(this.#sentBytes))
      if (piece.length === 0) return
      yield piece
      this.#sentBytes += piece.length
      this.#request.sluice?.left(piece.length)
      this.#watch.moved()
    }
    this.#watch.whole(this.#request.onItsWayMs ?? 0)
  }

  async #next(rest: Uint8Array): Promise<Uint8Array> {
    const { sluice } = this.#request
    this.#watch.held(true)
    const bytes = sluice
      ? await sluice.take(rest.length, this.#ending.signal)
      : Math.min(rest.length, pieceBytes)
    this.#watch.held(false)
    return rest.subarray(0, bytes)
  }

  #cut(why: Cut): void {
    this.#cutBy ??= why
    this.#dropConnection()
    this.#ending.abort()
    this.#wasCut.resolve(this.#cutBy)
  }

  #dropConnection(): void {
    const socket = this.#watch.socket ?? (this.#asking && this.#connections.madeFor(this.#asking))
    if (socket) reset(socket)
  }

  #failed(cause: RequestError): Answer {
    if (this.#cutBy !== undefined) return this.#asCut(this.#cutBy)
    return { is: 'cut', code: codeOf(cause), why: sayFailure(cause), sentBytes: this.#sentBytes }
  }

  #asCut(why: Cut): Answer {
    return { is: 'cut', code: linkCodes[why], why: reasons[why], sentBytes: this.#sentBytes }
  }
}

/** Of a body that nobody paces. */
const pieceBytes = 64 * 1024

/** Why this side ends an exchange. */
type Cut = 'stalled' | 'tooLong' | 'abandoned'

const reasons: Readonly<Record<Cut, string>> = {
  stalled: 'nothing moved for too long',
  tooLong: 'not our server: its answer is longer than any of ours',
  abandoned: 'given up',
}

function toAnswer(response: Response<Uint8Array>): Answered {
  const { statusCode, headers, body } = response
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return {
    is: 'answered',
    status: statusCode,
    mediaType,
    body,
    retryAfterMs: parseRetryAfter(headers['retry-after']),
  }
}

/** Seconds (RFC 9110, section 10.2.3). A date is not read: the drone may have no clock to compare it with. */
function parseRetryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) * 1000 : undefined
}

const tunnelCodes: Readonly<Record<number, string>> = {
  403: linkCodes.proxyForbids,
  407: linkCodes.proxyUnknown,
}

/** Node has one code for every answer of a proxy to CONNECT, and its status beside. */
function codeOf({ code, cause }: RequestError): string {
  const status = cause instanceof Error && 'statusCode' in cause ? Number(cause.statusCode) : 0
  return code === 'ERR_PROXY_TUNNEL' ? (tunnelCodes[status] ?? code) : code
}

/** "ECONNREFUSED: …": the code says more than got's words, where there is one. */
function sayFailure(cause: RequestError): string {
  const { code } = cause
  const words = sayCause(cause)
  return words.includes(code) ? words : `${code}: ${words}`
}

function withSlash(url: URL): URL {
  return url.pathname.endsWith('/') ? url : new URL(`${url.pathname}/`, url)
}
