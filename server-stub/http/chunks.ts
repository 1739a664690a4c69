import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { limits, mediaTypes, paths } from '../../protocol/contract.ts'
import type { Receipt } from '../../protocol/receipt.ts'
import { BatchError } from '../../protocol/record.ts'
import type { ServerLimits } from '../config.ts'
import type { ProblemCode } from '../faults.ts'
import { ingest, type IngestParts } from '../ingest/ingest.ts'
import type { Running } from '../ingest/running.ts'
import { sendProblem } from './problem.ts'

/** POST /v1/chunks: a batch in, a signed receipt out. */
export async function chunkRoutes(
  app: FastifyInstance,
  { parts, running, limits }: { parts: IngestParts; running: Running; limits: ServerLimits },
): Promise<void> {
  // The body is not buffered: its records are taken in while it arrives.
  app.addContentTypeParser(mediaTypes.batch, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers['content-encoding'] === undefined) return
    parts.journal.turnedAway('CODING_UNSUPPORTED')
    return sendProblem(reply, 'CODING_UNSUPPORTED')
  })
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

/** The body in pieces. A connection that breaks ends the batch; it does not undo what arrived. */
async function* arriving({ raw, body }: FastifyRequest): AsyncGenerator<Uint8Array, void, undefined> {
  if (!body) return
  try {
    // The connection stays usable after an early answer.
    yield* raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  } catch (cause) {
    throw Object.assign(new BatchError('cut'), { cause })
  }
}

/** After an early answer the client may still be sending: it may end its batch, but not send for ever. */
function dropRest(request: IncomingMessage): void {
  if (request.complete) return
  let dropped = 0
  request.on('data', (piece: Uint8Array) => {
    dropped += piece.length
    if (dropped > limits.maxBatchBytes) request.destroy()
  })
}
