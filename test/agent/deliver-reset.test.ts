import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { httpLink } from '../../agent/deliver/http-link.ts'
import type { LinkRequest } from '../../agent/deliver/link.ts'
import type { Way } from '../../agent/deliver/way.ts'
import { realWorld } from '../../agent/world.ts'
import { Authority, type Certificate } from '../kit/certificates.ts'
import { opened, openProxy, type Served } from '../kit/serving.ts'
import { StillReader } from '../kit/still-reader.ts'
import { tempFolder } from '../kit/temp-folder.ts'

const request: LinkRequest = {
  method: 'POST',
  path: '/v1/chunks',
  mediaType: 'application/cbor-seq',
  accept: 'application/cose',
  body: Buffer.alloc(50_000_000, 7),
  maxAnswerBytes: 1000,
}
/** Far behind all handshakes. */
const stillAfterBytes = 50_000

const hasIpv6 = Object.values(networkInterfaces()).some((of) => of?.some(({ address }) => address === '::1'))

const disposal = new AsyncDisposableStack()
const world = realWorld()
let trust: NonNullable<Way['trust']>
let own: Certificate

beforeAll(async () => {
  const authority = new Authority(disposal.use(await tempFolder()).path)
  trust = { authorities: authority.certificate }
  own = authority.issue('localhost')
  // A proxy is believed by the roots of Node, whatever the configuration says of the server.
  const roots = getCACertificates('default')
  disposal.defer(() => setDefaultCACertificates(roots))
  setDefaultCACertificates([...roots, authority.certificate])
})
afterAll(() => disposal.disposeAsync())

const serve = (): Promise<Served> => opened(createServer((asked) => void asked.resume()))
const serveTls = (): Promise<Served> =>
  opened(createTlsServer({ cert: own.certificate, key: own.key }, (asked) => void asked.resume()))

/** What becomes of a request of which the other end reads nothing more, when it is given up. */
async function givenUp(server: string, reader: StillReader, way: Way = {}): Promise<object> {
  await using link = await httpLink({ server: new URL(server), stallMs: 60_000, trust, ...way }, world)
  const [over, giving] = [new AbortController(), new AbortController()]
  const sending = link.send(request, giving.signal).finally(() => over.abort())
  while (!over.signal.aborted && reader.heldBytes < stillAfterBytes) await world.clock.sleep(5, over.signal)
  const { heldBytes, arrivedBytes } = reader
  giving.abort()
  const answer = await sending
  const heldAfter = reader.heldBytes
  const { bytes, end } = await reader.readOn()
  const code = answer.is === 'cut' ? answer.code : 'answered'
  return { code, heldAfter, end, isOnlyWhatHadArrived: bytes < arrivedBytes + heldBytes / 2 }
}

const dropped = { code: 'ABANDONED', heldAfter: 0, end: 'ECONNRESET', isOnlyWhatHadArrived: true }

test('of a request that is given up the kernel sends nothing more of what it holds', async () => {
  await using server = await serve()
  await using reader = await StillReader.start(server.port, stillAfterBytes)
  expect(await givenUp(`http://127.0.0.1:${reader.port}`, reader)).toEqual(dropped)
})

test.skipIf(!hasIpv6)('nor where it goes over IPv6', async () => {
  await using server = await serve()
  await using reader = await StillReader.start(server.port, stillAfterBytes, '::1')
  expect(await givenUp(`http://[::1]:${reader.port}`, reader)).toEqual(dropped)
})

test('nor where it goes over TLS', async () => {
  await using server = await serveTls()
  await using reader = await StillReader.start(server.port, stillAfterBytes)
  expect(await givenUp(`https://localhost:${reader.port}`, reader)).toEqual(dropped)
})

test.each([
  ['a proxy', 'http', () => openProxy()],
  ['a proxy that speaks TLS itself', 'https', () => openProxy(own)],
])('nor where its TLS goes through %s', async (_, scheme, open) => {
  await using server = await serveTls()
  await using proxy = await open()
  await using reader = await StillReader.start(proxy.port, stillAfterBytes)
  const way = { proxy: { HTTPS_PROXY: `${scheme}://localhost:${reader.port}` } }
  expect(await givenUp(`https://localhost:${server.port}`, reader, way)).toEqual(dropped)
  expect(proxy.tunnels).toEqual([`localhost:${server.port}`])
})

test('a tunnel that the proxy has not opened yet is given up with the request', async () => {
  const silent = createServer()
  const asked = once(silent, 'connect') as Promise<[unknown, Socket]>
  await using proxy = await opened(silent)
  const way = { proxy: { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` } }
  await using link = await httpLink(
    { server: new URL('https://logs.test'), stallMs: 60_000, trust, ...way },
    world,
  )
  const giving = new AbortController()
  const sending = link.send(request, giving.signal)
  const [, client] = await asked
  const error = once(client, 'error') as Promise<[NodeJS.ErrnoException]>
  client.resume()
  giving.abort()
  expect(await sending).toMatchObject({ is: 'cut', code: 'ABANDONED', sentBytes: 0 })
  expect((await error)[0].code).toBe('ECONNRESET')
})
