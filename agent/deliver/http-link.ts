import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import got, { RequestError, type Response } from 'got'
import { mediaTypes, paths } from '../../protocol/contract.ts'
import { maxReceiptBytes } from '../../protocol/receipt.ts'
import { sayCause } from '../say-cause.ts'
import type { Answer, Link } from './link.ts'

export interface HttpLinkOptions {
  readonly server: URL
  /** How long an exchange may stand still: a slow link is given all the time it needs while bytes move. */
  readonly stallMs: number
}

/** A longer answer is not ours: the receipt for the largest batch is within this. */
const maxAnswerBytes = maxReceiptBytes + 1024

/** The link over HTTP or HTTPS, one connection that is kept open. */
export function httpLink({ server, stallMs }: HttpLinkOptions): Link {
  const sockets = { keepAlive: true, maxSockets: 1 }
  const agent = { http: new HttpAgent(sockets), https: new HttpsAgent(sockets) }
  // Retrying, redirecting and judging a status are not this layer's: what comes back is told as it is.
  const client = got.extend({
    agent,
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    decompress: false,
    cookieJar: undefined,
    cache: false,
    responseType: 'buffer',
    timeout: { lookup: stallMs, connect: stallMs, secureConnect: stallMs, socket: stallMs },
    headers: { 'content-type': mediaTypes.batch, accept: `${mediaTypes.receipt}, ${mediaTypes.problem}` },
  })
  const target = new URL(`.${paths.chunks}`, withSlash(server))

  return {
    send: async (batch, signal) => {
      const cutting = new AbortController()
      const cut = (): void => cutting.abort()
      signal.addEventListener('abort', cut)
      try {
        const headers = { 'content-length': String(batch.length) }
        const request = client.post(target, { body: piecesOf(batch), headers, signal: cutting.signal })
        void request.on('downloadProgress', ({ transferred }) => {
          if (transferred > maxAnswerBytes) cut()
        })
        return toAnswer(await request)
      } catch (cause) {
        if (!(cause instanceof RequestError)) throw cause
        const isTooLong = cutting.signal.aborted && !signal.aborted
        return {
          is: 'cut',
          why: isTooLong ? 'not our server: its answer is longer than any receipt' : sayFailure(cause),
        }
      } finally {
        signal.removeEventListener('abort', cut)
      }
    },
    [Symbol.asyncDispose]: async () => {
      agent.http.destroy()
      agent.https.destroy()
    },
  }
}

const pieceBytes = 256 * 1024

/**
 * got clones a body that is a Buffer before each request, with all the memory that it is a view of, and writes it in small
 * pieces; a generator it takes as it comes.
 */
function* piecesOf(batch: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < batch.length; at += pieceBytes) yield batch.subarray(at, at + pieceBytes)
}

function toAnswer(response: Response<Uint8Array>): Answer {
  const { statusCode, headers, body } = response
  const mediaType = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return {
    is: 'answered',
    status: statusCode,
    mediaType,
    body,
    retryAfterMs: parseRetryAfter(headers['retry-after']),
  }
}

/** Seconds (RFC 9110, section 10.2.3). A date is not read: the drone may have no clock to compare it with. */
function parseRetryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) * 1000 : undefined
}

/** "ECONNREFUSED: …": the code says more than got's words, where there is one. */
function sayFailure(cause: RequestError): string {
  const { code } = cause
  const words = sayCause(cause)
  return words.includes(code) ? words : `${code}: ${words}`
}

function withSlash(url: URL): URL {
  return url.pathname.endsWith('/') ? url : new URL(`${url.pathname}/`, url)
}
