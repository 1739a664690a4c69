import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import dns from 'node:dns'
import { once } from 'node:events'
import { createServer, type Agent, type ClientRequest, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createTcpServer, Socket, type AddressInfo, type Server } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { httpLink } from '../../agent/deliver/http-link.ts'
import type { Answer, Link, LinkRequest } from '../../agent/deliver/link.ts'
import type { Way } from '../../agent/deliver/way.ts'
import { realWorld } from '../../agent/world.ts'
import { Authority, type Certificate } from '../kit/certificates.ts'
import { never } from '../kit/queue-kit.ts'
import { openProxy, type Served } from '../kit/serving.ts'
import { tempFolder } from '../kit/temp-folder.ts'

const request: LinkRequest = {
  method: 'POST',
  path: '/v1/chunks',
  mediaType: 'application/cbor-seq',
  accept: 'application/cose',
  body: Buffer.alloc(300_000, 7),
  maxAnswerBytes: 1000,
}

const { body: _, mediaType: __, ...bodiless } = request
/** The one thing that is answered. */
const question: LinkRequest = { ...bodiless, method: 'GET', path: '/v1/capabilities' }

const disposal = new AsyncDisposableStack()
const world = realWorld()
const agents = new Set<Agent>()
let trust: NonNullable<Way['trust']>
let own: Certificate

const note = (created: unknown): void => {
  const { agent } = (created as { request: ClientRequest & { agent: Agent } }).request
  agents.add(agent)
}

beforeAll(async () => {
  const authority = new Authority(disposal.use(await tempFolder()).path)
  trust = { authorities: authority.certificate }
  own = authority.issue('localhost')
  // A proxy is believed by the roots of Node, whatever the configuration says of the server.
  const roots = getCACertificates('default')
  disposal.defer(() => setDefaultCACertificates(roots))
  setDefaultCACertificates([...roots, authority.certificate])
  subscribe('http.client.request.created', note)
  disposal.defer(() => void unsubscribe('http.client.request.created', note))
})
afterAll(() => disposal.disposeAsync())

/** The moments of a request, in the order in which it reaches them. */
type Moment =
  | 'asked'
  | 'connection made'
  | 'in look-up'
  | 'connecting'
  | 'connected'
  | 'in CONNECT'
  | 'taken by the server'
  | 'TLS stands'
  | 'first byte there'
  | 'waiting for the answer'

let reached: (moment: Moment) => void = () => undefined

beforeEach(() => {
  agents.clear()
  const connect = Object.getOwnPropertyDescriptor(Socket.prototype, 'connect')?.value as Function
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
    this.on('connectionAttempt', () => reached('connecting'))
    this.on('connect', () => reached('connected'))
    const connected = Reflect.apply(connect, this, args) as Socket
    reached('connection made')
    return connected
  })
  const { lookup } = dns
  // It takes some turns, so that a request can be given up within it.
  vi.spyOn(dns, 'lookup').mockImplementation((...args: unknown[]) => {
    reached('in look-up')
    setImmediate(() => setImmediate(() => void Reflect.apply(lookup, dns, args)))
  })
})
afterEach(() => {
  reached = () => undefined
  vi.restoreAllMocks()
})

/** Tells what it hears, and answers nobody who sends all that `request` has. */
const listener: RequestListener = (asked, response) => {
  asked.once('data', () => reached('first byte there'))
  asked.on('end', () => {
    reached('waiting for the answer')
    if (asked.url?.endsWith('/v1/capabilities')) response.end('here')
  })
}

interface Place extends Served {
  readonly connections: ReadonlySet<Socket>
}

async function serve(server: Server): Promise<Place> {
  const connections = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    connections.add(socket)
    socket.on('close', () => connections.delete(socket)).on('error', () => undefined)
    reached('taken by the server')
  })
  server.on('secureConnection', (socket: Socket) => {
    socket.on('error', () => undefined)
    reached('TLS stands')
  })
  server.on('tlsClientError', () => undefined)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const close = async (): Promise<void> => {
    for (const socket of connections) socket.destroy()
    await once(server.close(), 'close')
  }
  return { port: (server.address() as AddressInfo).port, connections, [Symbol.asyncDispose]: close }
}

const servePlain = (): Promise<Place> => serve(createServer(listener))
const serveTls = (): Promise<Place> =>
  serve(createTlsServer({ cert: own.certificate, key: own.key }, listener))

const linkTo = (server: string, proxy: NonNullable<Way['proxy']> = {}, stallMs = 60_000): Promise<Link> =>
  httpLink({ server: new URL(server), stallMs, trust, proxy }, world)

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** How long after a moment a request is given up. */
const delays: readonly ((giveUp: () => void) => unknown)[] = [
  (giveUp) => queueMicrotask(giveUp),
  (giveUp) => process.nextTick(giveUp),
  (giveUp) => setImmediate(giveUp),
]

/** What came back for a request that was given up then. */
async function giveUpAt(moment: Moment, later: (giveUp: () => void) => unknown, link: Link): Promise<string> {
  const giving = new AbortController()
  reached = (now) => {
    if (now === moment) later(() => giving.abort())
  }
  const sending = link.send(request, giving.signal)
  reached('asked')
  const answer = await sending
  reached = () => undefined
  return answer.is === 'cut' ? answer.code : 'answered'
}

type Lists = Agent['sockets' | 'requests']

const countIn = (lists: readonly Lists[]): number =>
  lists.flatMap((list) => Object.values(list)).reduce((sum, list) => sum + (list?.length ?? 0), 0)
/** In use, kept, and waiting. */
const held = (): number =>
  countIn([...agents].flatMap(({ sockets, freeSockets, requests }) => [sockets, freeSockets, requests]))
const waiting = (): number => countIn([...agents].map(({ requests }) => requests))

/** At every moment, as long after it as above; resolves when nothing is left behind, with what comes back for the next request. */
async function afterAllMoments(moments: readonly Moment[], link: Link, place: Place): Promise<Answer> {
  for (const moment of moments) {
    for (const later of delays)
      expect([moment, await giveUpAt(moment, later, link)]).toEqual([moment, 'ABANDONED'])
  }
  while (held() > 0 || place.connections.size > 0) await turn()
  return link.send(question, never)
}

const answered = { is: 'answered', status: 200 }

const first = ['asked', 'connection made', 'in look-up', 'connecting', 'connected'] as const
const last = ['taken by the server', 'first byte there', 'waiting for the answer'] as const

test('a request that is given up at any moment leaves no socket behind', async () => {
  await using place = await servePlain()
  await using link = await linkTo(`http://localhost:${place.port}`)
  expect(await afterAllMoments([...first, ...last], link, place)).toMatchObject(answered)
})

test('nor does one that goes over TLS', async () => {
  await using place = await serveTls()
  await using link = await linkTo(`https://localhost:${place.port}`)
  expect(await afterAllMoments([...first, 'TLS stands', ...last], link, place)).toMatchObject(answered)
})

test.each([
  ['a proxy', 'http'],
  ['a proxy that speaks TLS itself', 'https'],
])('nor one that goes through %s', async (_, scheme) => {
  await using place = await serveTls()
  await using proxy = await openProxy(scheme === 'https' ? own : undefined, () => reached('in CONNECT'))
  await using link = await linkTo(`https://localhost:${place.port}`, {
    HTTPS_PROXY: `${scheme}://localhost:${proxy.port}`,
  })
  expect(await afterAllMoments([...first, 'in CONNECT', 'TLS stands', ...last], link, place)).toMatchObject(
    answered,
  )
})

test('one that waits for a socket gets one once those before it are given up', async () => {
  await using place = await servePlain()
  await using link = await linkTo(`http://localhost:${place.port}`)
  const giving = new AbortController()
  let unanswered = 0
  reached = (now) => {
    if (now === 'waiting for the answer') unanswered++
  }
  const most = Array.from({ length: 16 }, () => link.send(request, giving.signal))
  while (unanswered < most.length) await turn()
  const next = link.send(question, never)
  while (waiting() === 0) await turn()
  giving.abort()
  expect(await Promise.all(most)).toEqual(most.map(() => expect.objectContaining({ is: 'cut' }) as Answer))
  expect(await next).toMatchObject(answered)
})

/** Takes connections and says nothing, or this to whatever comes first. */
const serveSilent = (says = ''): Promise<Place> =>
  serve(createTcpServer((socket) => void socket.once('data', () => socket.write(says))))

async function untilClosed({ connections }: Place): Promise<void> {
  for (const socket of connections) socket.resume()
  while (connections.size > 0) await turn()
}

test.each([
  ['that never says a word', 'http', ''],
  ['whose TLS never stands', 'https', ''],
  ['behind whose tunnel nobody is', 'http', 'HTTP/1.1 200 OK\r\n\r\n'],
  ['that refuses, and keeps its connection open', 'http', 'HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n'],
])('a proxy %s holds no socket of a request that is over', async (_, scheme, says) => {
  await using place = await serveSilent(says)
  await using link = await linkTo(
    'https://localhost:9',
    { HTTPS_PROXY: `${scheme}://localhost:${place.port}` },
    200,
  )
  for (let times = 0; times < 2; times++) {
    expect(await link.send(request, never)).toMatchObject({ is: 'cut', sentBytes: 0 })
  }
  await untilClosed(place)
  expect(held()).toBe(0)
})

test('a link that is closed ends what no request knows yet', async () => {
  await using place = await serveSilent()
  const link = await linkTo('https://localhost:9', { HTTPS_PROXY: `http://localhost:${place.port}` })
  const giving = new AbortController()
  const sending = link.send(request, giving.signal)
  while (place.connections.size === 0) await turn()
  await link[Symbol.asyncDispose]()
  await untilClosed(place)
  giving.abort()
  expect(await sending).toMatchObject({ is: 'cut', code: 'ABANDONED' })
})
