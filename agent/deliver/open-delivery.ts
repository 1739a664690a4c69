import { readFileSync } from 'node:fs'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { AgentConfig } from '../config.ts'
import { agentFault } from '../faults.ts'
import type { Queue } from '../queue/queue.ts'
import { sayCause } from '../say-cause.ts'
import type { World } from '../world.ts'
import { Delivery } from './deliver.ts'
import { openGate } from './gate-keepers.ts'
import { askForStreams } from './asking.ts'
import { httpLink } from './http-link.ts'
import { recall, type Recall } from './recall.ts'
import type { Trust } from './way.ts'

export interface OpenedDelivery extends AsyncDisposable {
  readonly delivery: Delivery
  /** Asks the server, unless the gate is closed. */
  readonly recall: Recall
}

/**
 * Delivery as it is configured, with its link and its gate. `onReceiptsLost` has what is still in files read again. Throws
 * TRUST_UNUSABLE and GATE_UNUSABLE.
 */
export async function openDelivery(
  { server, delivery: sending }: Pick<AgentConfig, 'server' | 'delivery'>,
  queue: Queue,
  signer: Signer,
  world: World,
  onReceiptsLost?: () => Promise<void>,
): Promise<OpenedDelivery> {
  const { requestMaxBytes, requestTimeoutMs: stallMs, retry, rateLimit } = sending
  await using disposal = new AsyncDisposableStack()
  const gate = await openGate(sending.gate, world)
  if (gate) disposal.use(gate)
  const way = { trust: await readTrust(server), proxy: server.proxy }
  const link = disposal.use(await httpLink({ server: server.url, stallMs, ...way }, world))
  const bounds = { requestMaxBytes, retry, rateLimit, gate }
  const options = { ...bounds, signer, pinned: server.publicKeys, onReceiptsLost }
  const delivery = new Delivery(queue, link, world, options)
  const parts = { device: queue.head.device, signer, pinned: server.publicKeys, chance: world.chance }
  const ask = askForStreams(link, gate)
  const opened = disposal.move()
  return {
    delivery,
    recall: (names, signal) => recall(names, { ...parts, ask }, signal),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** Read once, at the start: what does not parse is found then, and not on the first flight. */
async function readTrust({ ca, client }: AgentConfig['server']): Promise<Trust> {
  try {
    const trust = {
      ...(ca === undefined ? {} : { authorities: readFileSync(ca, 'utf8') }),
      ...(client && {
        client: {
          certificate: readFileSync(client.certificate, 'utf8'),
          key: readFileSync(client.key, 'utf8'),
        },
      }),
    }
    if (ca === undefined && !client) return trust
    const { contextOf } = await import('./trusting-agent.ts')
    contextOf(trust)
    return trust
  } catch (cause) {
    throw agentFault(
      'TRUST_UNUSABLE',
      `cannot use the certificates of the configuration (${sayCause(cause)})`,
      {
        cause,
      },
    )
  }
}
