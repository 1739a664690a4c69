import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findSendQueue } from '../../agent/deliver/kernel-queue.ts'
import { EchoClient, EchoServer } from './echo-server.ts'
import { openLossyLink, type LinkOptions, type LossyLink } from './lossy-link.ts'
import { parseWeather, playWeather, type WeatherStep } from './lossy-link-weather.ts'
import { Program } from './program.ts'
import { Seeded } from './seeded.ts'

/** An echo behind a link. */
class Echo implements AsyncDisposable {
  readonly server: EchoServer
  readonly link: LossyLink
  readonly #disposal: AsyncDisposableStack

  static async open(options: Omit<LinkOptions, 'port'> = {}): Promise<Echo> {
    await using disposal = new AsyncDisposableStack()
    const server = disposal.use(await EchoServer.start())
    const link = disposal.use(await openLossyLink({ ...options, port: server.port }))
    return new Echo(server, link, disposal.move())
  }

  private constructor(server: EchoServer, link: LossyLink, disposal: AsyncDisposableStack) {
    this.server = server
    this.link = link
    this.#disposal = disposal
  }

  client(): EchoClient {
    return this.#disposal.use(new EchoClient(this.link.port))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync()
  }
}

const bytes = Buffer.from(new Seeded(7).bytes(40_000))

describe('the air', () => {
  test('a byte takes the latency each way, and a connection a round trip before', async () => {
    await using echo = await Echo.open({ latencyMs: 40 })
    const client = echo.client()
    expect(await client.echo('first')).toBeGreaterThanOrEqual(160)
    expect(await client.echo('again')).toBeGreaterThanOrEqual(80)
  })

  test('its rate is shared by all connections', async () => {
    await using echo = await Echo.open({ bytesPerSecond: 200_000 })
    const clients = [echo.client(), echo.client(), echo.client()]
    // What a timer may be late is made up for, so that only less than that may be faster.
    const took = await Promise.all(clients.map((client) => client.echo(bytes)))
    expect(Math.max(...took)).toBeGreaterThanOrEqual(500)
    expect(echo.link.bytesToServer).toBe(3 * bytes.length)
  })

  test('nobody waits for all that another has to send: connections take turns', async () => {
    await using echo = await Echo.open({ bytesPerSecond: 100_000 })
    const bulk = echo.client()
    bulk.send(Buffer.alloc(2_000_000))
    await echo.link.until(({ bytesToServer }) => bytesToServer > 10_000)
    await echo.client().echo('a word')
    expect(echo.link.bytesToServer).toBeLessThan(1_000_000)
  })

  test('with jitter, loss and stalls, what arrives is what was sent, in order', async () => {
    const rough = {
      latencyMs: 1,
      jitterMs: 5,
      lossRate: 0.1,
      retransmitMs: 10,
      stallMs: 10,
      stallEveryMs: 30,
    }
    await using echo = await Echo.open(rough)
    const client = echo.client()
    client.send(bytes)
    expect(bytes.equals(await client.received(bytes.length))).toBe(true)
  })

  test('a lost packet costs a retransmission, and in a stall nothing moves', async () => {
    await using lossy = await Echo.open({ lossRate: 1, retransmitMs: 100 })
    expect(await lossy.client().echo('lost once each way')).toBeGreaterThanOrEqual(200)
    await using stalling = await Echo.open({ stallMs: 150, stallEveryMs: 0.001 })
    expect(await stalling.client().echo('in a stall')).toBeGreaterThanOrEqual(100)
    expect(stalling.link.stalls).toBeGreaterThan(0)
  })
})

describe('a link', () => {
  test('that is cut resets what is open and what comes; restored, it works', async () => {
    await using echo = await Echo.open()
    const client = echo.client()
    await client.echo('open')
    echo.link.cut()
    expect(await client.gone).toBe('ECONNRESET')
    expect(await echo.client().gone).toBe('ECONNRESET')
    echo.link.restore()
    await echo.client().echo('again')
  })

  test('that is cut tells how much was on it that nothing had come back for', async () => {
    await using echo = await Echo.open({ latencyMs: 20 })
    const [answered, waiting] = [echo.client(), echo.client()]
    await answered.echo('answered')
    const before = echo.link.bytesToServer
    waiting.send(bytes)
    await echo.link.until(({ bytesToServer }) => bytesToServer - before === bytes.length)
    expect(echo.link.unansweredBytes).toBe(0)
    echo.link.cut()
    expect(echo.link.unansweredBytes).toBe(bytes.length)
  })

  test('that refuses does so at its port, which is there again when it is restored', async () => {
    await using echo = await Echo.open()
    const client = echo.client()
    await client.echo('open')
    echo.link.refuse()
    expect(await echo.client().gone).toBe('ECONNREFUSED')
    await client.echo('open ones stay')
    // It is in use, so that the kernel gives it to nobody meanwhile.
    const table = await readFile('/proc/net/tcp', 'latin1')
    expect(findSendQueue(table, echo.link.port, echo.link.port)).toBe(0)
    echo.link.restore()
    await echo.client().echo('again')
  })

  test('that is a black hole holds what was sent until it is restored', async () => {
    await using echo = await Echo.open()
    const client = echo.client()
    await client.echo('open')
    echo.link.blackHole()
    client.send(bytes)
    const late = echo.client()
    late.send('late')
    await echo.link.until(({ connections }) => connections === 2)
    expect(echo.link.bytesToServer).toBe(4)
    echo.link.restore()
    expect(await client.received(4 + bytes.length)).toHaveLength(4 + bytes.length)
    expect(String(await late.received(4))).toBe('late')
  })

  test('that is half open tells neither side, and takes new connections', async () => {
    await using echo = await Echo.open()
    const client = echo.client()
    await client.echo('open')
    echo.link.halfOpen()
    client.send('into nothing')
    client[Symbol.dispose]()
    await echo.client().echo('new')
    expect(echo.link.bytesToServer).toBe('open'.length + 'new'.length)
    expect(echo.server.open.size).toBe(2)
  })

  test('whose client breaks off brings what had left, and then tells the server', async () => {
    await using echo = await Echo.open({ latencyMs: 20 })
    const client = echo.client()
    await client.echo('open')
    const [socket] = echo.server.open
    client.send('last words')
    client[Symbol.dispose]()
    await new Promise((resolve) => socket?.once('close', resolve))
    expect(socket?.bytesRead).toBe('open'.length + 'last words'.length)
  })
})

describe('weather', () => {
  const folder = join(import.meta.dirname, 'weather')

  test.each(readdirSync(folder))('%s can be played', (name) => {
    expect(parseWeather(readFileSync(join(folder, name), 'utf8')).steps.length).toBeGreaterThan(1)
  })

  test.each([
    ['[]', /at least one step/],
    ['{"steps": 3}', /at least one step/],
    ['[{"forMs": 1}, {"latencyMs": 1}]', /step 1 of the weather: forMs/],
    ['[{"forMs": 1, "latency": 3}]', /there is no latency/],
    ['[{"forMs": -1}]', /forMs is a number/],
    ['[{"forMs": 1, "isCut": 1}]', /isCut is true or false/],
    ['[{"forMs": 1, "bytesPerSecond": 0}]', /isBlackHole/],
    ['[{"forMs": 1, "isCut": true, "isBlackHole": true}]', /only one of/],
  ])('%s is no weather', (text, why) => {
    expect(() => parseWeather(text)).toThrow(why)
  })

  test('goes step by step and begins anew', async () => {
    await using echo = await Echo.open()
    const stopping = new AbortController()
    const steps: WeatherStep[] = [{ forMs: 5, isRefusing: true }, { forMs: 5, isCut: true }, { forMs: 5 }]
    const seen: WeatherStep[] = []
    const tell = (step: WeatherStep): void => {
      seen.push(step)
      if (seen.length === 6) stopping.abort()
    }
    await playWeather(echo.link, { steps, isLooped: true }, tell, stopping.signal)
    expect(seen).toEqual([...steps, ...steps])
    await echo.client().echo('the last step is good weather')
  })

  test('is played by npm run lossy-link, which prints where it listens and what passed', async () => {
    await using server = await EchoServer.start()
    const args = ['--to', String(server.port), '--weather', join(folder, 'hangar.json')]
    await using program = Program.start('scripts/lossy-link.ts', args)
    const { listening } = JSON.parse(await program.line(/"listening"/)) as { listening: number }
    using client = new EchoClient(listening)
    await client.echo('through the hangar')
    program.signal('SIGINT')
    const { status, stdout } = await program.ended()
    expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      ended: true,
      connections: 1,
      bytesToServer: 18,
      bytesToClient: 18,
    })
    expect(status).toBe(0)
  })
})
