import { Agent as HttpAgent, type AgentOptions, type ProxyEnv } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Connections } from './connections.ts'

/** Whom to believe, who this is, and which way to go. */
export interface Way {
  readonly trust?: Trust
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as Node reads them. */
  readonly proxy?: ProxyEnv
}

/** All PEM. */
export interface Trust {
  /** Instead of the system's roots and those that Node brings. */
  readonly authorities?: string
  /** For whoever ends TLS in front of the server and asks for one. */
  readonly client?: { readonly certificate: string; readonly key: string }
}

export interface Agents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
  /** All that they make. */
  readonly connections: Connections
}

/** More than are ever under way at once: requests, and one for what is urgent. */
const maxSockets = 16

/** Connections are kept between requests, and given up before the server does so (its `Keep-Alive: timeout`). */
export function openAgents({ trust = {}, proxy = {} }: Way): Agents {
  const sockets: AgentOptions = { keepAlive: true, maxSockets, proxyEnv: proxy }
  const http = new HttpAgent(sockets)
  const https = new TrustingAgent({ ...sockets, minVersion: 'TLSv1.2' }, trust)
  return { http, https, connections: new Connections([http, https]) }
}

/** An agent that reads certificates when it first connects: a drone that goes over plain HTTP needs none. */
class TrustingAgent extends HttpsAgent {
  readonly #trust: Trust
  #context: SecureContext | undefined

  constructor(options: ConstructorParameters<typeof HttpsAgent>[0], trust: Trust) {
    super(options)
    this.#trust = trust
  }

  override createConnection(...[options, ready]: Parameters<HttpsAgent['createConnection']>) {
    this.#context ??= contextOf(this.#trust)
    return super.createConnection({ ...options, secureContext: this.#context } as typeof options, ready)
  }
}

/** Throws where a certificate or key does not parse. */
export function contextOf({ authorities, client }: Trust): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.2',
    ca: authorities ?? [...new Set([...getCACertificates('default'), ...getCACertificates('system')])],
    ...(client && { cert: client.certificate, key: client.key }),
  })
}
