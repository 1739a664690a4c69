import { Agent as HttpAgent, type AgentOptions } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import { Connections } from './connections.ts'
import type { Way } from './way.ts'

export interface Agents {
  readonly http?: HttpAgent
  readonly https?: HttpsAgent
  /** All that they make. */
  readonly connections: Connections
}

/** More than are ever under way at once: requests, and one for what is urgent. */
const maxSockets = 16

/** For a server's protocol. Connections are kept between requests, and given up before the server does so (its `Keep-Alive: timeout`). */
export async function openAgents(protocol: string, { trust = {}, proxy = {} }: Way): Promise<Agents> {
  const sockets: AgentOptions = { keepAlive: true, maxSockets, proxyEnv: proxy }
  if (protocol === 'http:') {
    const http = new HttpAgent(sockets)
    return { http, connections: new Connections([http]) }
  }
  // Where it is only loaded, Node's TLS parses all its roots and keeps them.
  const { trustingAgent } = await import('./trusting-agent.ts')
  const https = trustingAgent(sockets, trust)
  return { https, connections: new Connections([https]) }
}
