import nock from 'nock'
import { afterEach, beforeEach } from 'vitest'
import type { LinkReport } from '../../agent/control/report.ts'
import { Delivery } from '../../agent/deliver/deliver.ts'
import { httpLink } from '../../agent/deliver/http-link.ts'
import type { IndexEntry } from '../../agent/queue/index-entry.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { realWorld } from '../../agent/world.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { parseDeviceId, type DeviceId } from '../../protocol/ids.ts'
import { signReceipt, type Outcome } from '../../protocol/receipt.ts'
import { makeSigner } from './drone.ts'
import { fakeWorld, type FakeWorld } from './fake-world.ts'
import { nextBatch, QueueKit } from './queue-kit.ts'

export const address = 'http://logs.test'
export const retry = { minMs: 500, maxMs: 60_000 }
export const server = makeSigner()

/** Every test of the file meets a server that has nothing yet and says nothing of itself, and no network besides. */
export function playEmptyServer(): void {
  beforeEach(() => {
    nock.disableNetConnect()
    havingNothing()
  })
  afterEach(() => {
    nock.abortPendingRequests()
    nock.cleanAll()
    nock.enableNetConnect()
  })
}

function havingNothing(): void {
  nock(address).post('/v1/receipts').optionally().times(1000).reply(200, receiptFor([]), receiptType)
  nock(address).get('/v1/capabilities').optionally().times(1000).reply(404, 'no such page')
}

export function receiptFor(
  entries: readonly IndexEntry[],
  {
    by = server,
    device = 'hexa-7',
    outcome = 'stored',
  }: { by?: Signer; device?: string; outcome?: Exclude<Outcome, 'refused'> } = {},
): Buffer {
  const told = entries.map(({ epoch, seq, digest }) => ({ place: { epoch, seq }, digest, outcome }))
  return Buffer.from(signReceipt({ device: asDevice(device), timeMs: 1, entries: told }, by))
}

export function asDevice(name: string): DeviceId {
  const device = parseDeviceId(name)
  if (device === undefined) throw new Error(`${name} is no device`)
  return device
}

export const receiptType = { 'content-type': 'application/cose' }
export const post = () => nock(address).post('/v1/chunks')

export function problem(status: number, code: string): [number, string, Record<string, string>] {
  return [
    status,
    JSON.stringify({ status, code, detail: 'said so' }),
    { 'content-type': 'application/problem+json' },
  ]
}

/** A queue with three records, and delivery of them to a server that nock plays. */
export class Post implements AsyncDisposable {
  readonly kit: QueueKit
  readonly queue: Queue
  readonly world: FakeWorld
  readonly delivery: Delivery
  readonly entries: readonly IndexEntry[]
  readonly #stopping = new AbortController()
  readonly #disposal: AsyncDisposableStack
  #running: Promise<void> = Promise.resolve()

  static async prepare(texts = ['one\n', 'two\n', 'three\n']): Promise<Post> {
    await using disposal = new AsyncDisposableStack()
    const kit = disposal.use(await QueueKit.start())
    const world = fakeWorld()
    const queue = disposal.use(await kit.open(world))
    for (const text of texts) await kit.append(queue, text)
    const entries = (await nextBatch(queue, 1 << 20, 100))?.entries ?? []
    const link = disposal.use(await httpLink({ server: new URL(address), stallMs: 60_000 }, realWorld()))
    const options = { requestMaxBytes: 1 << 20, retry, pinned: [server.publicKey], signer: kit.signer }
    const delivery = new Delivery(queue, link, world, options)
    return new Post(kit, queue, world, delivery, entries, disposal.move())
  }

  private constructor(
    kit: QueueKit,
    queue: Queue,
    world: FakeWorld,
    delivery: Delivery,
    entries: readonly IndexEntry[],
    disposal: AsyncDisposableStack,
  ) {
    this.kit = kit
    this.queue = queue
    this.world = world
    this.delivery = delivery
    this.entries = entries
    this.#disposal = disposal
  }

  start(): void {
    this.#running = this.delivery.run(this.#stopping.signal)
  }

  /** Runs until attempt `count` has failed, and gives what status then says of the link. */
  async failed(count = 1): Promise<LinkReport> {
    if (count === 1) this.start()
    await this.world.told.told('deliveryFailed', count)
    return this.delivery.report
  }

  /** The server comes to its senses: everything is delivered with the next attempt, and forgotten. */
  async recovers(): Promise<void> {
    nock.cleanAll()
    havingNothing()
    post().times(3).reply(200, receiptFor(this.entries), receiptType)
    await this.world.clock.skip()
    await this.world.told.told('deliveryRecovered')
    while (
      this.world.told
        .named('forgotten')
        .flat()
        .reduce<number>((sum, count) => sum + Number(count), 0) < this.entries.length
    )
      await this.world.told.told('forgotten', this.world.told.named('forgotten').length + 1)
    if (this.queue.ledger.records > 0) throw new Error('not everything was delivered')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#running
    await this.#disposal.disposeAsync()
  }
}
