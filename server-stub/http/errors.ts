import type { FastifyError, FastifyInstance } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { Fault } from '../../protocol/fault.ts'
import { problems, type ProblemCode } from '../faults.ts'
import type { Journal } from '../journal.ts'
import { problemBody, sendProblem } from './problem.ts'

/** Every answer that no route gave is a problem too. */
export function answerErrors(app: FastifyInstance, journal: Journal): void {
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?', 1)
    const allowed = methodsOf(path)
    if (allowed === undefined) return sendProblem(reply, 'NOT_FOUND')
    // RFC 9110, section 15.5.6: a 405 MUST say in Allow what is.
    return sendProblem(reply.header('allow', allowed), 'METHOD_NOT_ALLOWED')
  })
  app.addHook('onRequest', async ({ headers, raw }, reply) => {
    // RFC 9112, section 3.2: a server MUST answer 400 where HTTP/1.1 comes without Host.
    if (headers.host !== undefined || raw.httpVersion === '1.0') return
    journal.turnedAway('REQUEST_MALFORMED')
    return sendProblem(reply, 'REQUEST_MALFORMED')
  })
  app.server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    journal.turnedAway('REQUEST_MALFORMED')
    response.writeHead(problems.REQUEST_MALFORMED.status, {
      'content-type': mediaTypes.problem,
      connection: 'close',
    })
    response.end(problemBody('REQUEST_MALFORMED'))
  })
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const code = problemOf(error)
    if (error instanceof Fault) journal.failed(code, error.message)
    else if (code === 'SERVER_BROKEN') journal.broken(error)
    else journal.turnedAway(code)
    return sendProblem(reply, code)
  })
}

function methodsOf(path: string): string | undefined {
  if ([paths.chunks, paths.receipts, paths.streams].some((posted) => posted === path)) return 'POST'
  return Object.values<string>(paths).includes(path) ? 'GET, HEAD' : undefined
}

const problemOfFault: Readonly<Record<string, ProblemCode>> = {
  STORE_FULL: 'STORE_FULL',
  STORE_UNWRITABLE: 'STORE_UNWRITABLE',
  STORE_UNREADABLE: 'STORE_UNWRITABLE',
  CATALOG_DAMAGED: 'STORE_UNWRITABLE',
  CATALOG_BUSY: 'SERVER_BUSY',
}

function problemOf(error: FastifyError | Fault): ProblemCode {
  if (error instanceof Fault) return problemOfFault[error.code] ?? 'SERVER_BROKEN'
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'MEDIA_TYPE_WRONG'
  if (error.statusCode === 413) return 'BATCH_TOO_LARGE'
  const isClients = error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500
  return isClients ? 'REQUEST_MALFORMED' : 'SERVER_BROKEN'
}

/** Answers what is not HTTP, on the bare socket. */
export function answerNoRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const code = error.code === 'HPE_HEADER_OVERFLOW' ? 'HEADERS_TOO_LARGE' : 'REQUEST_MALFORMED'
  const body = problemBody(code)
  const head = [
    `HTTP/1.1 ${problems[code].status} Refused`,
    `content-type: ${mediaTypes.problem}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
