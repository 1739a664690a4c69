import { Agent, type AgentOptions } from 'node:https'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import type { Trust } from './way.ts'

/** An agent for HTTPS that reads certificates when it first connects. */
export function trustingAgent(options: AgentOptions, trust: Trust): Agent {
  return new TrustingAgent({ ...options, minVersion: 'TLSv1.2' }, trust)
}

class TrustingAgent extends Agent {
  readonly #trust: Trust
  #context: SecureContext | undefined

  constructor(options: AgentOptions, trust: Trust) {
    super(options)
    this.#trust = trust
  }

  override createConnection(...[options, ready]: Parameters<Agent['createConnection']>) {
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
