import { createServer } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { httpLink } from '../../agent/deliver/http-link.ts'
import type { Answer, LinkRequest } from '../../agent/deliver/link.ts'
import { senseOfFailure } from '../../agent/deliver/meaning.ts'
import type { Way } from '../../agent/deliver/way.ts'
import { realWorld } from '../../agent/world.ts'
import { Authority, type Certificate } from '../kit/certificates.ts'
import { never } from '../kit/queue-kit.ts'
import { opened, openProxy, type Served } from '../kit/serving.ts'
import { tempFolder } from '../kit/temp-folder.ts'

const request: LinkRequest = {
  method: 'POST',
  path: '/v1/chunks',
  mediaType: 'application/cbor-seq',
  accept: 'application/cose',
  body: Buffer.from('a batch'),
  maxAnswerBytes: 1000,
}

const disposal = new AsyncDisposableStack()
let authority: Authority
let own: Certificate

beforeAll(async () => {
  const folder = disposal.use(await tempFolder())
  authority = new Authority(folder.path)
  own = authority.issue('localhost')
})
afterAll(() => disposal.disposeAsync())

function serveTls(options: ServerOptions = {}): Promise<Served> {
  const given = { cert: own.certificate, key: own.key, ...options }
  return opened(createTlsServer(given, (_, response) => void response.end('secured')))
}

async function ask(address: string, way: Way): Promise<Answer> {
  await using link = await httpLink({ server: new URL(address), stallMs: 5000, ...way }, realWorld())
  return link.send(request, never)
}

const trusting = (): Way => ({ trust: { authorities: authority.certificate } })

describe('a server', () => {
  test('with a certificate by the authority of the configuration is believed', async () => {
    await using server = await serveTls()
    expect(await ask(`https://localhost:${server.port}`, trusting())).toMatchObject({
      is: 'answered',
      status: 200,
    })
  })

  test('with a certificate by nobody that the system knows is not, and a person is told', async () => {
    await using server = await serveTls()
    const answer = await ask(`https://localhost:${server.port}`, {})
    expect(answer).toMatchObject({ is: 'cut', sentBytes: 0 })
    expect(senseOfFailure(answer.is === 'cut' ? answer.code : '').course).toBe('person')
  })

  test('with a certificate for another name is taken for a login page', async () => {
    await using server = await serveTls()
    const answer = await ask(`https://127.0.0.1:${server.port}`, trusting())
    expect(answer).toMatchObject({ is: 'cut', code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    expect(senseOfFailure('ERR_TLS_CERT_ALTNAME_INVALID').course).toBe('portal')
  })

  test('that speaks only TLS 1.1 is not spoken to', async () => {
    await using server = await serveTls({
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    })
    const answer = await ask(`https://localhost:${server.port}`, trusting())
    expect(answer.is === 'cut' && senseOfFailure(answer.code).course).toBe('portal')
  })

  test('that does not speak TLS is no server of ours', async () => {
    await using server = await opened(createServer((_, response) => void response.end('login')))
    const answer = await ask(`https://localhost:${server.port}`, trusting())
    expect(answer.is === 'cut' && senseOfFailure(answer.code).course).toBe('portal')
  })

  test('that asks for a client certificate gets the one of the configuration, and without it says so', async () => {
    await using server = await serveTls({
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    })
    const client = authority.issue('hexa-7')
    const trust = { authorities: authority.certificate, client }
    expect(await ask(`https://localhost:${server.port}`, { trust })).toMatchObject({ status: 200 })
    const answer = await ask(`https://localhost:${server.port}`, trusting())
    expect(answer.is === 'cut' && senseOfFailure(answer.code).course).toBe('person')
  })
})

describe('through a proxy', () => {
  test('TLS goes by CONNECT, end to end, one tunnel for several requests', async () => {
    await using server = await serveTls()
    await using proxy = await openProxy()
    const way = { ...trusting(), proxy: { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` } }
    await using link = await httpLink(
      { server: new URL(`https://localhost:${server.port}`), stallMs: 5000, ...way },
      realWorld(),
    )
    for (let times = 0; times < 3; times++)
      expect(await link.send(request, never)).toMatchObject({ status: 200 })
    expect(proxy.tunnels).toEqual([`localhost:${server.port}`])
  })

  test.each([
    [407, 'PROXY_LOGIN', 'person'],
    [403, 'PROXY_FORBIDS', 'person'],
    [502, 'ERR_PROXY_TUNNEL', 'retry'],
  ])('that answers %i to CONNECT, what is to be done is what that means', async (status, code, course) => {
    const refusing = createServer()
    refusing.on('connect', (_, client: Socket) => void client.end(`HTTP/1.1 ${status} No\r\n\r\n`))
    await using proxy = await opened(refusing)
    const answer = await ask('https://logs.test/', {
      proxy: { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` },
    })
    expect(answer).toMatchObject({ is: 'cut', code, sentBytes: 0 })
    expect(senseOfFailure(code).course).toBe(course)
  })

  test('plain HTTP is asked of the proxy', async () => {
    await using proxy = await openProxy()
    await ask('http://logs.test/', { proxy: { HTTP_PROXY: `http://127.0.0.1:${proxy.port}` } })
    expect(proxy.requests).toEqual(['http://logs.test/v1/chunks'])
  })

  test('what NO_PROXY names does not go', async () => {
    await using server = await serveTls()
    await using proxy = await openProxy()
    const settings = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: 'localhost' }
    const answer = await ask(`https://localhost:${server.port}`, { ...trusting(), proxy: settings })
    expect(answer).toMatchObject({ status: 200 })
    expect(proxy.tunnels).toEqual([])
  })
})

test('a redirect is told and not followed', async () => {
  const asked: string[] = []
  await using elsewhere = await opened(createServer(({ url = '' }) => void asked.push(url)))
  const location = `http://127.0.0.1:${elsewhere.port}/v1/chunks`
  await using server = await opened(
    createServer((_, response) => void response.writeHead(307, { location }).end()),
  )
  expect(await ask(`http://127.0.0.1:${server.port}`, {})).toMatchObject({ is: 'answered', status: 307 })
  expect(asked).toEqual([])
})
