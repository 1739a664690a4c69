import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Delivery } from '../../agent/deliver/deliver.ts'
import { httpLink } from '../../agent/deliver/http-link.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { realWorld, type World } from '../../agent/world.ts'
import { parseDeviceId } from '../../protocol/ids.ts'
import { makeStore, openStore } from '../../server-stub/parts.ts'
import { Audit } from '../../server-stub/query/audit.ts'
import { RecordingJournal } from '../kit/fake-world.ts'
import { Flight } from '../kit/flight.ts'
import { Writers } from '../kit/kill-rounds.ts'
import { openLossyLink, type LossyLink } from '../kit/lossy-link.ts'
import { QueueKit } from '../kit/queue-kit.ts'
import { chooseSeed, withSeed } from '../kit/seeded.ts'
import { hastyClock } from '../kit/sortie-life.ts'
import { storedBytes } from '../kit/stored-bytes.ts'
import { TestServer } from '../server-stub/test-server.ts'

/** Queue, delivery, link and server in this process: an exchange takes milliseconds. */
class Exchange implements AsyncDisposable {
  readonly kit: QueueKit
  readonly queue: Queue
  readonly link: LossyLink
  readonly told: RecordingJournal
  readonly #data: string
  readonly #disposal: AsyncDisposableStack
  #written = ''

  static async open(): Promise<Exchange> {
    await using disposal = new AsyncDisposableStack()
    const kit = disposal.use(await QueueKit.start())
    const data = join(await kit.folder('server'), 'data')
    await register(data, kit)
    const server = disposal.use(await TestServer.start(data))
    const link = disposal.use(await openLossyLink({ port: Number(new URL(server.url).port) }))
    const told = new RecordingJournal()
    // Thousands of records, each by itself, need not wait for one another, nor each pause look at the routes.
    const clock = hastyClock(realWorld().clock, 30)
    const surroundings = { changed: (signal: AbortSignal) => clock.sleep(Infinity, signal) }
    const world: World = { ...realWorld(), clock, journal: told.journal, surroundings }
    const queue = disposal.use(await kit.open(world))
    const way = disposal.use(
      await httpLink({ server: new URL(`http://127.0.0.1:${link.port}`), stallMs: 20_000 }, realWorld()),
    )
    const retry = { minMs: 30, maxMs: 60 }
    const options = { requestMaxBytes: 1 << 20, retry, pinned: [server.key], signer: kit.signer }
    const stopping = new AbortController()
    const running = new Delivery(queue, way, world, options).run(stopping.signal)
    disposal.defer(async () => {
      stopping.abort()
      await running
    })
    return new Exchange({ kit, queue, link, told, data }, disposal.move())
  }

  private constructor(
    { kit, queue, link, told, data }: Pick<Exchange, 'kit' | 'queue' | 'link' | 'told'> & { data: string },
    disposal: AsyncDisposableStack,
  ) {
    this.kit = kit
    this.queue = queue
    this.link = link
    this.told = told
    this.#data = data
    this.#disposal = disposal
  }

  /** One record more, until it has its receipt; how many bytes that took, each way. */
  async carry(text: string): Promise<{ readonly toServer: number; readonly toClient: number }> {
    const { bytesToServer, bytesToClient } = this.link
    this.#written += text
    const next = this.told.named('forgotten').length + 1
    await this.kit.append(this.queue, text)
    await this.told.told('forgotten', next)
    return {
      toServer: this.link.bytesToServer - bytesToServer,
      toClient: this.link.bytesToClient - bytesToClient,
    }
  }

  /** All that the server has, and what is wrong with it. */
  async outcome(): Promise<object> {
    await using store = await openStore(this.#data)
    const streams = await store.catalog.streams()
    const [stream] = streams
    if (!stream) throw new Error('the server has nothing')
    const { bytes, twice, lengths } = await storedBytes(stream, store)
    const findings: unknown[] = []
    for await (const finding of new Audit(store).findings()) findings.push(finding)
    const text = Buffer.from(bytes).toString()
    return { queued: this.queue.ledger.records, streams: streams.length, text, lengths, twice, findings }
  }

  /** What the outcome has to be. */
  get promised(): object {
    const text = this.#written
    return { queued: 0, streams: 1, text, lengths: text.length, twice: [], findings: [] }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync()
  }
}

async function register(data: string, { signer }: QueueKit): Promise<void> {
  await using store = await makeStore(data)
  const device = parseDeviceId('hexa-7')
  if (device) await store.catalog.addDevice(device, signer.publicKey, 0)
}

describe('a link that dies loses nothing and stores nothing twice', () => {
  test.each(['toServer', 'toClient'] as const)('at any byte on its way %s', async (way) => {
    await using exchange = await Exchange.open()
    await exchange.carry('the first one also asks what the server takes\n')
    const whole = await exchange.carry('measures an exchange\n')
    for (let byte = 0; byte <= whole[way]; byte++) {
      exchange.link.cutAfter({ [way]: byte, times: 1 })
      await exchange.carry(`the link died at byte ${byte}\n`)
      exchange.link.restore()
    }
    expect(await exchange.outcome()).toEqual(exchange.promised)
    // The link may die after the whole answer was through; and it may be a question about the server's limits that dies.
    expect(exchange.link.deaths).toBeGreaterThanOrEqual(whole[way])
    expect(exchange.told.named('deliveryFailed').length).toBeGreaterThan(whole[way] * 0.9)
  })

  test('at random bytes of both ways, again and again, while everything runs and files grow', async () => {
    await withSeed(chooseSeed(), async (chance) => {
      await using flight = await Flight.start()
      await flight.startAgent()
      {
        await using _writers = new Writers(flight, chance)
        for (let cut = 0; cut < 60; cut++) {
          const before = flight.link.deaths
          const way = chance.pick(['toServer', 'toClient'])
          flight.link.cutAfter({ [way]: chance.below(way === 'toServer' ? 60_000 : 600), times: 1 })
          await flight.link.until(({ deaths }) => deaths > before)
        }
      }
      flight.link.restore()
      await flight.land()
      expect(await flight.whatIsWrong()).toEqual([])
      await flight.expectQueueEmpty()
    })
  })

  test('in a black hole, and comes back', async () => {
    await using flight = await Flight.start({
      settings: {
        delivery: { requestMaxBytes: '128KiB', requestTimeout: '1s', retry: { min: '10ms', max: '50ms' } },
      },
    })
    flight.link.blackHole()
    await flight.append('a.log', 'into the hole\n')
    await flight.startAgent()
    const report = await flight.statusUntil(({ link, queue }) => link.is === 'waiting' && queue.records === 1)
    expect(report.link).toMatchObject({ why: expect.stringMatching(/nothing moved for too long/) })
    flight.link.restore()
    await flight.land()
    await flight.expectWhole()
  })
})
