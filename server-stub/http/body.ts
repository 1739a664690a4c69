import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { limits } from '../../protocol/contract.ts'
import { BatchError } from '../../protocol/record.ts'
import type { Journal } from '../journal.ts'
import { sendProblem } from './problem.ts'

/** What is sent is never coded again: RFC 9110, section 8.4, lets a server answer 415. */
export function refuseCodings(app: FastifyInstance, journal: Journal): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers['content-encoding'] === undefined) return
    journal.turnedAway('CODING_UNSUPPORTED')
    return sendProblem(reply, 'CODING_UNSUPPORTED')
  })
}

/** The body in pieces. A connection that breaks ends the batch; it does not undo what arrived. */
export async function* arriving({ raw, body }: FastifyRequest): AsyncGenerator<Uint8Array, void, undefined> {
  if (!body) return
  try {
    // The connection stays usable after an early answer.
    yield* raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  } catch (cause) {
    throw Object.assign(new BatchError('cut'), { cause })
  }
}

/** After an early answer the client may still be sending: it may end its batch, but not send for ever. */
export function dropRest(request: IncomingMessage): void {
  if (request.complete) return
  let dropped = 0
  request.on('data', (piece: Uint8Array) => {
    dropped += piece.length
    if (dropped > limits.maxBatchBytes) request.destroy()
  })
}
