import type { FastifyInstance } from 'fastify'
import { paths } from '../../protocol/contract.ts'
import type { Metrics } from '../metrics.ts'

/** GET /metrics, for Prometheus. */
export async function metricsRoutes(app: FastifyInstance, { metrics }: { metrics: Metrics }): Promise<void> {
  app.get(paths.metrics, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  )
}
