import type { FastifyReply } from 'fastify'
import { mediaTypes } from '../../protocol/contract.ts'
import { problems, type ProblemCode } from '../faults.ts'

/** The body of an error (RFC 9457). `code` is what a program may rely on. */
export function problemBody(code: ProblemCode, detail?: string): string {
  const { status, title } = problems[code]
  return JSON.stringify({ type: 'about:blank', status, title, code, detail: detail ?? title })
}

/** Answers with a problem, and with the headers that HTTP asks for beside its status. */
export function sendProblem(reply: FastifyReply, code: ProblemCode, retryAfterSeconds = 5): FastifyReply {
  const { status } = problems[code]
  if (status === 429 || status === 503) reply.header('retry-after', retryAfterSeconds)
  // RFC 9110, section 15.5.2: a 401 MUST name a way to authenticate.
  if (status === 401) reply.header('www-authenticate', 'Logbox realm="registered devices"')
  return reply.code(status).type(mediaTypes.problem).send(problemBody(code))
}
