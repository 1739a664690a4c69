/**
 * What a network does to requests, a function each: `inTurn(offline(3), lostAcknowledgement(), captivePortal(2))` is a
 * scenario of six requests. After the last one the server is good.
 */
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { mediaTypes } from '../../protocol/contract.ts'
import { parseDeviceId, sha256 } from '../../protocol/ids.ts'
import { showLogPath } from '../../protocol/log-path.ts'
import type { ReceiptEntry } from '../../protocol/receipt.ts'
import { makeSigner } from './drone.ts'
import {
  answer,
  failure,
  type Answered,
  type Arrived,
  type PlayedServer,
  type Scenario,
  type Turn,
} from './nock-server.ts'

/** One after the other. */
export const inTurn = (...scenarios: readonly Scenario[]): Scenario => scenarios.flat()

const repeat = (times: number, turn: Turn): Scenario => Array.from({ length: times }, () => turn)

/** The server is good. */
export const good = (times = 1): Scenario => repeat(times, (request, server) => server.serve(request))

/** There is no network: nothing gets anywhere. */
export const offline = (times = 1): Scenario =>
  repeat(times, () => failure('ENETUNREACH', 'connect ENETUNREACH 198.51.100.7:443'))

/** The network is there, the server's machine is, and nobody listens. */
export const refused = (times = 1): Scenario =>
  repeat(times, () => failure('ECONNREFUSED', 'connect ECONNREFUSED 198.51.100.7:443'))

/** The server's name is not found. */
export const dnsGone = (times = 1): Scenario =>
  repeat(times, () => failure('ENOTFOUND', 'getaddrinfo ENOTFOUND logs.test'))

/** Every other request is reset before it arrives, so many times. */
export const flapping = (times = 1): Scenario =>
  Array.from({ length: times }, () =>
    inTurn(
      repeat(1, () => reset),
      good(),
    ),
  ).flat()

const reset = failure('ECONNRESET', 'read ECONNRESET')

/** A good server whose answer takes so long. */
export const slow = (ms: number, times = 1): Scenario =>
  repeat(times, async (request, server) => {
    await sleep(ms)
    return server.serve(request)
  })

export interface ErrorOptions {
  readonly status?: number
  /** In seconds, as the header has it. */
  readonly retryAfter?: number
}

/** A server, or what stands before it, that is in trouble: nothing is stored. 429 is one of these too. */
export const serverErrors = (times = 1, { status = 503, retryAfter }: ErrorOptions = {}): Scenario =>
  repeat(times, () => {
    const { headers, ...rest } = answer(
      status,
      mediaTypes.problem,
      JSON.stringify({ status, code: 'SERVER_BUSY' }),
    )
    return {
      ...rest,
      headers: retryAfter === undefined ? headers : { ...headers, 'retry-after': `${retryAfter}` },
    }
  })

/** The server has stored everything, and its answer is lost. */
export const lostAcknowledgement = (times = 1): Scenario =>
  repeat(times, (request, server) => {
    server.serve(request)
    return reset
  })

const page =
  '<html><title>Airport Wi-Fi</title><form action="/login">Accept our terms to go on.</form></html>'

/** Somebody else answers 200, with a page on which one is to log in. */
export const captivePortal = (times = 1): Scenario => repeat(times, () => answer(200, 'text/html', page))

/** The server has stored everything, and its answer breaks off in the middle. */
export const halfAnAnswer = (times = 1): Scenario =>
  repeat(times, (request, server) => {
    const whole = server.serve(request)
    return { ...whole, body: Readable.from(breaksOff(bytesOf(whole))) }
  })

async function* breaksOff(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, bytes.length >> 1)
  throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
}

/** The server has stored everything, and a proxy passes on half of its answer as if it were the whole. */
export const truncatingProxy = (times = 1): Scenario =>
  repeat(times, (request, server) => {
    const whole = server.serve(request)
    return { ...whole, body: bytesOf(whole).subarray(0, bytesOf(whole).length >> 1) }
  })

/** The server is good, and its answer comes a byte at a time. */
export const tricklingAnswer = (msPerByte: number, times = 1): Scenario =>
  repeat(times, (request, server) => {
    const whole = server.serve(request)
    return { ...whole, body: Readable.from(trickle(bytesOf(whole), msPerByte)) }
  })

async function* trickle(bytes: Uint8Array, msPerByte: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < bytes.length; index++) {
    await sleep(msPerByte)
    yield bytes.subarray(index, index + 1)
  }
}

const stranger = makeSigner()

/** Somebody stores nothing and signs that he did, with a key that is not the server's. */
export const wrongReceipt = (times = 1): Scenario =>
  repeat(times, (request, server) => server.receipt(server.entriesOf(request), stranger))

/** The server's own receipt, and for this drone, but for records of long ago. */
export const oldReceipt = (times = 1): Scenario =>
  repeat(times, (_request, server) => server.receipt([ofLongAgo]))

const ofLongAgo: ReceiptEntry = {
  place: { epoch: 5 as never, seq: 0 as never },
  digest: sha256(Buffer.from('a record of long ago')),
  outcome: 'stored',
}

/** The server's own receipt, for the same records, but for another drone. */
export const someoneElsesReceipt = (times = 1): Scenario =>
  repeat(times, (request, server) =>
    server.receipt(server.entriesOf(request), server.signer, parseDeviceId('quad-1')),
  )

/** For ever, a server that refuses in its receipts what is of this file, and takes the rest. */
export const refusing = (file: string, refusal = 'BODY_UNDECODABLE'): Scenario => [
  function again(request, server) {
    server.again(again)
    return server.serveBut(request, ({ path }) => showLogPath(path).endsWith(file), refusal)
  },
]

function bytesOf({ body }: Answered): Uint8Array {
  return body instanceof Uint8Array ? body : Buffer.alloc(0)
}

/** Plays a turn only for requests to this path; others meet a good server and use nothing up. */
export const onlyFor = (path: string, scenario: Scenario): Scenario =>
  scenario.map(
    (turn) =>
      function retry(request: Arrived, server: PlayedServer) {
        if (request.path === path) return turn(request, server)
        server.again(retry)
        return server.serve(request)
      },
  )
