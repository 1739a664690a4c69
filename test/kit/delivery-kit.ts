import { Delivery, type DeliveryOptions } from '../../agent/deliver/deliver.ts'
import type { Lane } from '../../agent/queue/lane.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { capabilitiesOf, type Capabilities } from '../../protocol/capabilities.ts'
import { paths } from '../../protocol/contract.ts'
import type { DeviceId, Digest } from '../../protocol/ids.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { readQuery } from '../../protocol/query.ts'
import { signReceipt, type ReceiptEntry } from '../../protocol/receipt.ts'
import { scanRecord } from '../../protocol/record.ts'
import { digestOf } from '../../protocol/verify.ts'
import { makeSigner } from './drone.ts'
import { answered, FakeLink, type Asked } from './fake-link.ts'
import { fakeWorld, type FakeWorld } from './fake-world.ts'
import { QueueKit } from './queue-kit.ts'

/** A queue on a real disk, delivery, and a link on which the test plays the server. */
export class DeliveryKit implements AsyncDisposable {
  readonly server = makeSigner()
  readonly link = new FakeLink()
  readonly world: FakeWorld
  readonly queue: Queue
  readonly kit: QueueKit
  #delivery: Delivery | undefined
  /** The server's clock: no two receipts are the same. */
  #timeMs = 0
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  readonly #disposal: AsyncDisposableStack

  static async start(texts: readonly string[]): Promise<DeliveryKit> {
    await using disposal = new AsyncDisposableStack()
    const kit = disposal.use(await QueueKit.start())
    const world = fakeWorld()
    const queue = disposal.use(await kit.open(world))
    const made = new DeliveryKit(kit, queue, world, disposal.move())
    for (const text of texts) await made.append(text)
    return made
  }

  private constructor(kit: QueueKit, queue: Queue, world: FakeWorld, disposal: AsyncDisposableStack) {
    this.world = world
    this.kit = kit
    this.queue = queue
    this.#disposal = disposal
  }

  async append(text: string | Uint8Array, lane: Lane = 'normal'): Promise<void> {
    const arrival = await this.kit.arrival(text)
    await this.queue.append({ ...arrival, lane }, new AbortController().signal)
  }

  run(options: Partial<DeliveryOptions> = {}): Delivery {
    const retry = { minMs: 500, maxMs: 60_000 }
    const given = {
      requestMaxBytes: 1 << 20,
      retry,
      pinned: [this.server.publicKey],
      signer: this.kit.signer,
    }
    this.#delivery = new Delivery(this.queue, this.link, this.world, { ...given, ...options })
    this.#running = this.#delivery.run(this.#stopping.signal)
    return this.#delivery
  }

  chunks(count = 1): Promise<Asked> {
    return this.link.to(paths.chunks, count)
  }

  question(count = 1): Promise<Asked> {
    return this.link.to(paths.receipts, count)
  }

  /** The receipt for what was sent, or for those places of a question that `has` names. */
  store(asked: Asked, has: (seq: number) => boolean = () => true): void {
    const entries = entriesOf(asked).filter(({ place }) => place !== null && has(place.seq))
    asked.answer(answered(200, this.receipt(entries, queryOf(asked))))
  }

  receipt(entries: readonly ReceiptEntry[], query?: Digest): Uint8Array {
    const about = query && { query }
    const timeMs = ++this.#timeMs
    return signReceipt({ device: 'hexa-7' as DeviceId, timeMs, entries, ...about }, this.server)
  }

  /** What a server of this store says of itself, to the `count`th who asks. */
  async introduce(store: string, count = 1, change: Partial<Capabilities> = {}): Promise<void> {
    const asked = await this.link.to(paths.capabilities, count)
    asked.answer(answered(200, Buffer.from(JSON.stringify({ ...capabilitiesOf(store), ...change }))))
  }

  async emptied(): Promise<void> {
    const { changed, ledger } = this.queue
    while (ledger.records > this.queue.asideRecords) {
      await changed.waitBeyond(changed.rings, Infinity, this.world.clock, this.#stopping.signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#running
    await this.#disposal.disposeAsync()
  }
}

/** Of the question that this is, if it is one. */
function queryOf({ request }: Asked): Digest | undefined {
  const query = readQuery(request.body ?? new Uint8Array(0))
  return query.ok ? query.value.digest : undefined
}

/** Places of the records of a batch, or of a question, all said to be stored. */
export function entriesOf({ request }: Asked): ReceiptEntry[] {
  const body = request.body ?? new Uint8Array(0)
  const query = readQuery(body)
  if (query.ok && query.value.query.asks === 'records') {
    const { records } = query.value.query
    return records.map(({ epoch, seq, digest }) => ({ place: { epoch, seq }, digest, outcome: 'duplicate' }))
  }
  const entries: ReceiptEntry[] = []
  for (let scan = scanRecord(body); scan.is === 'whole'; scan = scanRecord(body, scan.end)) {
    const manifest = decodeManifest(scan.frame.envelope.payload)
    if (!manifest.ok) throw new Error('the agent sent what is no record')
    const { epoch, seq } = manifest.value
    entries.push({ place: { epoch, seq }, digest: digestOf(scan.frame), outcome: 'stored' })
  }
  return entries
}

export const seqsOf = (asked: Asked): number[] => entriesOf(asked).map(({ place }) => Number(place?.seq))
