import type { FastifyInstance, FastifyReply } from 'fastify'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import type { Receipt } from '../../protocol/receipt.ts'
import type { ServerLimits } from '../config.ts'
import type { ProblemCode } from '../faults.ts'
import type { IngestParts } from '../ingest/batch.ts'
import { ingest } from '../ingest/ingest.ts'
import type { Running } from '../ingest/running.ts'
import { arriving, dropRest, refuseCodings } from './body.ts'
import { sendProblem } from './problem.ts'

/** POST /v1/chunks: a batch in, a signed receipt out. */
export async function chunkRoutes(
  app: FastifyInstance,
  { parts, running, limits }: { parts: IngestParts; running: Running; limits: ServerLimits },
): Promise<void> {
  // The body is not buffered: its records are taken in while it arrives.
  app.addContentTypeParser(mediaTypes.batch, (_request, body, done) => done(null, body))
  refuseCodings(app, parts.journal)
  app.addHook('onResponse', async (request) => dropRest(request.raw))
  app.post(paths.chunks, async (request, reply) => {
    if (running.isFull) return turnAway('SERVER_BUSY', reply)
    const found = await running.run(
      (visit) => ingest(arriving(request), parts, visit),
      () => request.raw.destroy(),
    )
    if (found.is === 'problem') return turnAway(found.code, reply)
    tellWhenSent(reply, found.receipt, (receipt) => parts.journal.receiptSent(receipt))
    return reply.type(mediaTypes.receipt).send(found.bytes)
  })

  function turnAway(code: ProblemCode, reply: FastifyReply): FastifyReply {
    parts.journal.turnedAway(code)
    return sendProblem(reply, code, limits.retryAfterSeconds)
  }
}

function tellWhenSent(reply: FastifyReply, receipt: Receipt, tell: (receipt: Receipt) => void): void {
  reply.raw.once('finish', () => tell(receipt))
}
