import type { FastifyInstance, FastifyReply } from 'fastify'
import { limits, mediaTypes, paths } from '../../protocol/contract.ts'
import type { Query } from '../../protocol/query.ts'
import { BatchError } from '../../protocol/record.ts'
import type { ServerLimits } from '../config.ts'
import type { ProblemCode } from '../faults.ts'
import type { Running } from '../ingest/running.ts'
import { answerQuery, type QueryAnswer, type QueryParts } from '../query/answer-query.ts'
import { arriving, dropRest, refuseCodings } from './body.ts'
import { sendProblem } from './problem.ts'

/** What an envelope is longer than its payload, at most. */
const maxEnvelopeBytes = 128
const maxBodyBytes = limits.maxQueryBytes + maxEnvelopeBytes

/** POST /v1/receipts and /v1/streams: a device asks what is here, and gets a signed answer. */
export async function queryRoutes(
  app: FastifyInstance,
  { parts, running, limits: own }: { parts: QueryParts; running: Running; limits: ServerLimits },
): Promise<void> {
  app.addContentTypeParser(mediaTypes.query, (_request, body, done) => done(null, body))
  refuseCodings(app, parts.journal)
  app.addHook('onResponse', async (request) => dropRest(request.raw))
  serve(paths.receipts, 'records', mediaTypes.receipt)
  serve(paths.streams, 'streams', mediaTypes.streams)

  function serve(path: string, asks: Query['asks'], mediaType: string): void {
    app.post(path, async (request, reply) => {
      const left = new AbortController()
      reply.raw.once('close', () => left.abort())
      const found = await running.run(
        async (visit): Promise<QueryAnswer> => {
          const body = await whole(visit.receiving(arriving(request)), (bytes) => visit.holding(bytes))
          return body instanceof Uint8Array ? answerQuery(body, asks, parts, visit, left.signal) : body
        },
        () => request.raw.destroy(),
      )
      parts.journal.queried(asks, found.is === 'problem' ? found.code : 'answered')
      if (found.is === 'problem') return turnAway(found.code, reply)
      return reply.type(mediaType).send(found.bytes)
    })
  }

  function turnAway(code: ProblemCode, reply: FastifyReply): FastifyReply {
    parts.journal.turnedAway(code)
    return sendProblem(reply, code, own.retryAfterSeconds)
  }
}

/** The body in one piece; a problem where it is longer than any query, or cut. */
async function whole(
  pieces: AsyncIterable<Uint8Array>,
  holding: (bytes: number) => boolean,
): Promise<Uint8Array | Extract<QueryAnswer, { is: 'problem' }>> {
  const held: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const piece of pieces) {
      bytes += piece.length
      if (bytes > maxBodyBytes) return { is: 'problem', code: 'QUERY_TOO_LARGE' }
      held.push(piece)
      holding(bytes)
    }
  } catch (error) {
    if (error instanceof BatchError) return { is: 'problem', code: 'QUERY_MALFORMED' }
    throw error
  }
  return Buffer.concat(held)
}
