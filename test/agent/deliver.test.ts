import { Readable } from 'node:stream'
import nock from 'nock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LinkReport } from '../../agent/control/report.ts'
import { Delivery } from '../../agent/deliver/deliver.ts'
import { httpLink } from '../../agent/deliver/http-link.ts'
import type { IndexEntry } from '../../agent/queue/index-entry.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { limits } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import { parseDeviceId, sha256, type DeviceId } from '../../protocol/ids.ts'
import { decodeManifest } from '../../protocol/manifest.ts'
import { signReceipt, type Outcome, type ReceiptEntry } from '../../protocol/receipt.ts'
import { scanRecord } from '../../protocol/record.ts'
import { digestOf } from '../../protocol/verify.ts'
import { makeSigner } from '../kit/drone.ts'
import { fakeWorld, type FakeWorld } from '../kit/fake-world.ts'
import { nextBatch, QueueKit } from '../kit/queue-kit.ts'

const address = 'http://logs.test'
const retry = { minMs: 500, maxMs: 60_000 }
const server = makeSigner()

beforeEach(() => nock.disableNetConnect())
afterEach(() => {
  nock.abortPendingRequests()
  nock.cleanAll()
  nock.enableNetConnect()
})

function receiptFor(
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

/** nock gives what is no text as hexadecimal digits. */
const bytesOf = (body: unknown): Buffer => Buffer.from(typeof body === 'string' ? body : '', 'hex')

/** As a server makes it: for whatever came. */
function receiptForBatch(batch: Uint8Array): Buffer {
  const entries: ReceiptEntry[] = []
  for (let scan = scanRecord(batch); scan.is === 'whole'; scan = scanRecord(batch, scan.end)) {
    const manifest = decodeManifest(scan.frame.envelope.payload)
    if (!manifest.ok) throw new Error('the agent sent what is no record')
    const { epoch, seq } = manifest.value
    entries.push({ place: { epoch, seq }, digest: digestOf(scan.frame), outcome: 'stored' })
  }
  return Buffer.from(signReceipt({ device: asDevice('hexa-7'), timeMs: 1, entries }, server))
}

function asDevice(name: string): DeviceId {
  const device = parseDeviceId(name)
  if (device === undefined) throw new Error(`${name} is no device`)
  return device
}

const receiptType = { 'content-type': 'application/cose' }
const post = () => nock(address).post('/v1/chunks')

/** A queue with three records, and delivery of them to a server that nock plays. */
class Post implements AsyncDisposable {
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
    const link = disposal.use(httpLink({ server: new URL(address), stallMs: 1000 }))
    const options = { requestMaxBytes: 1 << 20, retry, pinned: [server.publicKey] }
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
    post().reply(200, receiptFor(this.entries), receiptType)
    await this.world.clock.skip()
    await this.world.told.told('deliveryRecovered')
    if (this.queue.ledger.records > 0) throw new Error('not everything was delivered')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#running
    await this.#disposal.disposeAsync()
  }
}

const page = '<html><body>Welcome to the airport. Accept our terms to go on.</body></html>'
const stranger = makeSigner()
const oldEntries: IndexEntry[] = [0, 1].map((seq) => ({
  epoch: 5 as never,
  seq: seq as never,
  digest: sha256(Buffer.from(`old ${seq}`)),
  stream: 'AAAAAAAAAAAAAAAAAAAAAA' as never,
  extent: { segment: 1, offset: 0, length: 1 },
  lane: 'normal' as const,
  envelope: undefined,
  isWithheld: false,
  length: 1,
}))

function problem(status: number, code: string): [number, string, Record<string, string>] {
  return [
    status,
    JSON.stringify({ status, code, detail: 'said so' }),
    { 'content-type': 'application/problem+json' },
  ]
}

/** What is not an answer, what it looks like, and what status says of it. */
const noAnswers: [string, (post: Post) => void, RegExp][] = [
  [
    '200 with a web page',
    () => post().reply(200, page, { 'content-type': 'text/html' }),
    /not our server.*text\/html/,
  ],
  ['200 with nothing in it', () => post().reply(200), /not our server/],
  [
    "200 with a stranger's receipt",
    ({ entries }) => post().reply(200, receiptFor(entries, { by: stranger }), receiptType),
    /not our server/,
  ],
  [
    '200 with a receipt for another device',
    ({ entries }) => post().reply(200, receiptFor(entries, { device: 'quad-1' }), receiptType),
    /not our server/,
  ],
  [
    '200 with an old receipt, for other records',
    () => post().reply(200, receiptFor(oldEntries), receiptType),
    /does not say that the server has what was sent/,
  ],
  [
    '200 with a receipt of which a bit is flipped',
    ({ entries }) => {
      const receipt = receiptFor(entries)
      receipt[50] = (receipt[50] ?? 0) ^ 1
      post().reply(200, receipt, receiptType)
    },
    /not our server/,
  ],
  [
    '200 with half a receipt',
    ({ entries }) => post().reply(200, receiptFor(entries).subarray(0, 90), receiptType),
    /not our server/,
  ],
  [
    '200 with a receipt and something behind it',
    ({ entries }) => post().reply(200, Buffer.concat([receiptFor(entries), Buffer.of(0)]), receiptType),
    /not our server/,
  ],
  [
    '200 with a receipt that says that the bodies which were sent did not come',
    ({ entries }) => post().reply(200, receiptFor(entries, { outcome: 'storedWithoutBody' }), receiptType),
    /does not say that the server has what was sent/,
  ],
  [
    'the receipt with any other status',
    ({ entries }) => post().reply(202, receiptFor(entries), receiptType),
    /answered 202/,
  ],
  ['a redirect to another host', redirect, /answered 307/],
  ['401', () => post().reply(...problem(401, 'DEVICE_UNKNOWN')), /401, DEVICE_UNKNOWN, said so/],
  ['403', () => post().reply(...problem(403, 'KEY_REVOKED')), /403, KEY_REVOKED, said so/],
  ['400', () => post().reply(...problem(400, 'BATCH_MALFORMED')), /400, BATCH_MALFORMED/],
  ['404', () => post().reply(404, 'no such page'), /answered 404$/],
  ['507', () => post().reply(...problem(507, 'STORE_FULL')), /507, STORE_FULL/],
  ['502 from a proxy', () => post().reply(502, '\u001b[31mbad gateway'), /answered 502$/],
  ['a problem with control characters', () => post().reply(...problem(500, '\u001b[2J\n')), /500, \\/],
  [
    'a connection that breaks',
    () => post().replyWithError(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })),
    /ECONNRESET/,
  ],
  ['a name that is not found', notFound, /ENOTFOUND/],
  [
    'an answer without an end',
    () => post().reply(200, () => endless(), receiptType),
    /longer than any receipt/,
  ],
]

function redirect(): void {
  post().reply(307, '', { location: 'http://elsewhere.test/v1/chunks' })
  nock('http://elsewhere.test').post('/v1/chunks').reply(200, 'never asked')
}

function notFound(): void {
  post().replyWithError(Object.assign(new Error('getaddrinfo ENOTFOUND logs.test'), { code: 'ENOTFOUND' }))
}

/** As much as is read, a piece at each turn of the loop. */
function endless(): Readable {
  return new Readable({
    read() {
      setImmediate(() => this.push(Buffer.alloc(64 * 1024)))
    },
  })
}

describe('nothing leaves the queue, and status says why, on', () => {
  test.each(noAnswers)('%s', async (_, answer, why) => {
    await using post = await Post.prepare()
    answer(post)
    const report = await post.failed()
    expect(report).toMatchObject({ is: 'waiting', attempts: 1, why: expect.stringMatching(why) })
    expect(post.queue.ledger.records).toBe(3)
    expect(post.world.told.named('receiptVerified')).toEqual([])
    expect(nock.pendingMocks().filter((mock) => !mock.includes('elsewhere.test'))).toEqual([])
    await post.recovers()
  })
})

describe('a receipt', () => {
  test.each(['stored', 'duplicate', 'forked'] as const)(
    'that says %s lets the record go',
    async (outcome) => {
      await using delivery = await Post.prepare()
      post().reply(200, receiptFor(delivery.entries, { outcome }), receiptType)
      delivery.start()
      await delivery.world.told.told('forgotten')
      expect(delivery.queue.ledger.records).toBe(0)
      expect(delivery.world.told.named('recordForked')).toHaveLength(outcome === 'forked' ? 3 : 0)
    },
  )

  test('for some of the records lets those go, and the others are sent again', async () => {
    await using delivery = await Post.prepare()
    const { entries } = delivery
    post().reply(200, receiptFor(entries.slice(1)), receiptType)
    post().reply(200, receiptFor(entries.slice(0, 1)), receiptType)
    delivery.start()
    expect(await delivery.world.told.told('forgotten', 1)).toEqual([2])
    expect(await delivery.world.told.told('forgotten', 2)).toEqual([1])
    expect(delivery.queue.ledger.records).toBe(0)
  })

  // LB-093
  test('that refuses a record is believed the third time in a row; then it is set aside, named and kept', async () => {
    await using delivery = await Post.prepare()
    post().times(3).reply(200, refusing(delivery.entries, 1), receiptType)
    delivery.start()
    for (let attempt = 1; attempt <= 2; attempt++) {
      const [why] = await delivery.world.told.told('deliveryFailed', attempt)
      expect(why).toBe('refused by the server: BODY_HASH_WRONG')
      expect(delivery.queue.ledger.records).toBe(1)
      expect(delivery.queue.aside).toEqual([])
      await delivery.world.clock.skip()
    }
    await delivery.world.told.told('recordSetAside')
    expect(delivery.queue.aside.map(({ seq, why }) => [Number(seq), why])).toEqual([
      [1, 'refused by the server: BODY_HASH_WRONG'],
    ])
    expect(delivery.queue.ledger.records).toBe(1)
  })

  test('that refuses a record once, as when it was damaged on the way, keeps it for the next attempt', async () => {
    await using delivery = await Post.prepare()
    post().reply(200, refusing(delivery.entries, 1), receiptType)
    await delivery.failed()
    await delivery.recovers()
    expect(delivery.queue.aside).toEqual([])
  })
})

function refusing(entries: readonly IndexEntry[], refused: number): Buffer {
  const told = entries.map(({ epoch, seq, digest }, index) => {
    const place = { epoch, seq }
    if (index !== refused) return { place, digest, outcome: 'stored' as const }
    return { place, digest, outcome: 'refused' as const, refusal: 'BODY_HASH_WRONG' as const }
  })
  return Buffer.from(signReceipt({ device: asDevice('hexa-7'), timeMs: 1, entries: told }, server))
}

describe('a batch that is too large', () => {
  test('for the server (413) is sent again in smaller ones', async () => {
    await using delivery = await Post.prepare(Array.from({ length: 16 }, (_, index) => `line ${index}\n`))
    const sizes: number[] = []
    nock(address)
      .post('/v1/chunks')
      .times(100)
      .reply((_uri, body) => {
        const batch = bytesOf(body)
        sizes.push(batch.length)
        if (batch.length > 1000) return problem(413, 'BATCH_TOO_LARGE')
        return [200, receiptFor(delivery.entries), receiptType]
      })
    delivery.start()
    while (delivery.queue.ledger.records > 0) {
      await Promise.race([
        delivery.world.clock.skip(),
        delivery.world.told.told('forgotten', delivery.world.told.named('forgotten').length + 1),
      ])
    }
    expect(sizes[0]).toBeGreaterThan(1000)
    expect(sizes.at(-1)).toBeLessThanOrEqual(1000)
  })

  test('cannot be: what is over the limit of records is left for the next', async () => {
    await using delivery = await Post.prepare()
    expect((await nextBatch(delivery.queue, 1 << 20, 2))?.entries).toHaveLength(2)
    expect(limits.maxBatchRecords).toBe(4096)
  })
})

describe('between attempts', () => {
  test('the pause is drawn from twice as much each time, and never from more than the longest', async () => {
    await using delivery = await Post.prepare()
    post().times(12).reply(500, 'broken')
    const pauses: number[] = []
    delivery.start()
    for (let attempt = 1; attempt <= 12; attempt++) {
      const [why, attempts, ms] = await delivery.world.told.told('deliveryFailed', attempt)
      expect([why, attempts]).toEqual(['the server answered 500', attempt])
      expect(delivery.delivery.report).toMatchObject({ is: 'waiting', attempts: attempt, retryInMs: ms })
      expect(ms).toBeLessThanOrEqual(Math.min(retry.maxMs, retry.minMs * 2 ** (attempt - 1)))
      pauses.push(Number(ms))
      if (attempt < 12) await delivery.world.clock.skip()
    }
    expect(Math.max(...pauses)).toBeGreaterThan(retry.minMs)
    expect(new Set(pauses).size).toBeGreaterThan(6)
    await delivery.recovers()
  })

  // LB-093
  test.each([429, 503])('a %i with Retry-After is obeyed', async (status) => {
    await using delivery = await Post.prepare()
    post().reply(status, '', { 'retry-after': '120' })
    await delivery.failed()
    expect(delivery.delivery.report).toMatchObject({ retryInMs: 120_000 })
    post().reply(200, receiptFor(delivery.entries), receiptType)
    await delivery.world.clock.someoneSleeps()
    delivery.world.clock.advance(119_999)
    expect(delivery.world.told.named('requestSent')).toHaveLength(1)
    delivery.world.clock.advance(1)
    await delivery.world.told.told('forgotten')
  })

  test('a Retry-After is obeyed for ten minutes and no longer: nobody signed it', async () => {
    await using delivery = await Post.prepare()
    post().reply(503, '', { 'retry-after': '86400' })
    await delivery.failed()
    expect(delivery.delivery.report).toMatchObject({ retryInMs: 600_000 })
    post().reply(200, receiptFor(delivery.entries), receiptType)
    expect(await delivery.world.clock.skip()).toBe(600_000)
    await delivery.world.told.told('forgotten')
  })

  test.each(['Fri, 21 Nov 2036 08:00:00 GMT', '-5', 'soon', '99999999999'])(
    'a Retry-After of "%s" is passed over',
    async (after) => {
      await using delivery = await Post.prepare()
      post().reply(503, '', { 'retry-after': after })
      await delivery.failed()
      const report = delivery.delivery.report
      expect(report.is === 'waiting' && report.retryInMs).toBeLessThanOrEqual(retry.minMs)
    },
  )

  test('three failures, then a receipt: delivered, the fourth time, once', async () => {
    await using delivery = await Post.prepare()
    post().times(3).reply(500, 'broken')
    post().reply(200, receiptFor(delivery.entries), receiptType)
    delivery.start()
    for (let attempt = 1; attempt <= 3; attempt++) {
      await delivery.world.told.told('deliveryFailed', attempt)
      await delivery.world.clock.skip()
    }
    expect(await delivery.world.told.told('deliveryRecovered')).toEqual([3])
    expect(delivery.world.told.named('requestSent')).toHaveLength(4)
    expect(delivery.world.told.named('forgotten')).toEqual([[3]])
  })

  test('somebody in a hurry ends the pause', async () => {
    await using delivery = await Post.prepare()
    post().reply(503, '', { 'retry-after': '3600' })
    await delivery.failed()
    post().reply(200, receiptFor(delivery.entries), receiptType)
    await delivery.world.clock.someoneSleeps()
    delivery.delivery.hurry()
    expect(await delivery.world.told.told('forgotten')).toEqual([3])
  })

  test('a disk that refuses to forget is named, and the records are delivered again', async () => {
    await using delivery = await Post.prepare()
    post().times(2).reply(200, receiptFor(delivery.entries), receiptType)
    delivery.world.disk.failing.set('indexWrite', 'ENOSPC')
    expect(await delivery.failed()).toMatchObject({ why: expect.stringContaining('ENOSPC') })
    delivery.world.disk.failing.clear()
    await delivery.world.clock.skip()
    await delivery.world.told.told('forgotten')
    expect(delivery.queue.ledger.records).toBe(0)
  })
})

test('when nothing waits, nothing is sent and status says so', async () => {
  await using delivery = await Post.prepare([])
  delivery.start()
  expect(delivery.delivery.report).toEqual({ is: 'idle' })
  post().reply(200, (_uri, body) => receiptForBatch(bytesOf(body)), receiptType)
  await delivery.kit.append(delivery.queue, 'now\n')
  await delivery.world.told.told('forgotten')
})

test('a request under way is given up when delivery stops, and its records stay', async () => {
  await using delivery = await Post.prepare()
  post().delay(60_000).reply(200, receiptFor(delivery.entries), receiptType)
  delivery.start()
  await delivery.world.told.told('requestSent')
  expect(delivery.delivery.report).toMatchObject({ is: 'sending', records: 3 })
  await delivery[Symbol.asyncDispose]()
  expect(delivery.world.told.named('forgotten')).toEqual([])
})
