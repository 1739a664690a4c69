import type { FastifyInstance } from 'fastify'
import { capabilitiesOf } from '../../protocol/capabilities.ts'
import { mediaTypes, paths } from '../../protocol/contract.ts'

/** GET /v1/capabilities: what this server takes, and which store it is. */
export async function capabilityRoutes(
  app: FastifyInstance,
  { storeId }: { storeId: string },
): Promise<void> {
  app.get(paths.capabilities, async (_request, reply) =>
    // Another store may stand behind the same address the next time.
    reply.header('cache-control', 'no-store').type(mediaTypes.capabilities).send(capabilitiesOf(storeId)),
  )
}
