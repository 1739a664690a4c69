import { setImmediate as aTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { DeliveryOptions } from '../../agent/deliver/deliver.ts'
import { paths } from '../../protocol/contract.ts'
import type { ReceiptEntry } from '../../protocol/receipt.ts'
import { DeliveryKit, entriesOf, seqsOf } from '../kit/delivery-kit.ts'
import { answered, type Asked } from '../kit/fake-link.ts'
import { Seeded } from '../kit/seeded.ts'

/** A server that answers `status` to every request with one of these in it, or, with 200, refuses it in its receipt. */
class Picky {
  /** What came. */
  readonly order: number[][] = []
  #questions = 0
  readonly #kit: DeliveryKit
  readonly #isBad: (seq: number) => boolean
  readonly #status: number

  constructor(kit: DeliveryKit, isBad: (seq: number) => boolean, status = 422) {
    this.#kit = kit
    this.#isBad = isBad
    this.#status = status
  }

  /** Serves until this is so. Time passes where nobody asks. */
  async until(isOver: () => boolean): Promise<void> {
    const { link, world } = this.#kit
    while (!isOver()) {
      const asked = link.asked.filter(({ request }) => request.path === paths.chunks)[this.order.length]
      const question = link.asked.filter(({ request }) => request.path === paths.receipts)[this.#questions]
      if (asked && asked.sentBytes === asked.request.body?.length) this.#answer(asked)
      else if (question) this.#answerQuestion(question)
      else if (world.clock.nextMs !== undefined) world.clock.advance(1000)
      await aTurn()
    }
  }

  /** A bad one is never there, and a good one only with its receipt. */
  #answerQuestion(question: Asked): void {
    this.#questions++
    this.#kit.store(question, () => false)
  }

  #answer(asked: Asked): void {
    const seqs = seqsOf(asked)
    this.order.push(seqs)
    if (this.#status === 200) asked.answer(answered(200, this.#judgeEach(asked)))
    else if (seqs.some(this.#isBad)) asked.answer(answered(this.#status))
    else this.#kit.store(asked)
  }

  #judgeEach(asked: Asked): Uint8Array {
    const judge = (entry: ReceiptEntry): ReceiptEntry =>
      entry.place && this.#isBad(entry.place.seq)
        ? { place: entry.place, digest: entry.digest, ...refused }
        : entry
    return this.#kit.receipt(entriesOf(asked).map(judge))
  }
}

const refused = { outcome: 'refused', refusal: 'BODY_UNDECODABLE' } as const

const aRecordEach: Partial<DeliveryOptions> = { requestMaxBytes: 1 }
const goodOnes = (count: number): string[] => Array.from({ length: count }, (_, at) => `good ${at}\n`)

const isBad = (seq: number): boolean => seq < 200
const refusing = (): Promise<DeliveryKit> =>
  DeliveryKit.start([...Array.from({ length: 200 }, () => 'bad\n'), 'good\n'])

describe('a record that brings down its request, alone', () => {
  test.each([400, 413, 422])('(%i) is passed over, and what is behind it goes next', async (status) => {
    await using kit = await DeliveryKit.start(['bad\n', 'bad\n', ...goodOnes(6)])
    kit.run(aRecordEach)
    const server = new Picky(kit, (seq) => seq < 2, status)
    await server.until(() => server.order.length === 3)
    expect(server.order).toEqual([[0], [1], [2]])
  })

  test('is set aside when that happens for the third time while others get receipts', async () => {
    await using kit = await DeliveryKit.start(['bad\n', ...goodOnes(2)])
    kit.run(aRecordEach)
    const server = new Picky(kit, (seq) => seq === 0)
    await server.until(() => kit.queue.aside.length === 1)
    expect(server.order).toEqual([[0], [1], [0], [2], [0]])
    expect(kit.queue.aside.map(({ seq, why }) => [Number(seq), why])).toEqual([
      [0, expect.stringContaining('answered 422')],
    ])
    expect(kit.queue.ledger.records).toBe(1)
    // Tried again beside others it holds nothing up.
    expect(kit.world.told.named('deliveryFailed')).toHaveLength(1)
  })

  test('is kept where nothing else gets through either: then it is not the record', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run()
    const outage = new Picky(kit, () => true, 400)
    await outage.until(() => outage.order.length === 8)
    expect(kit.queue.aside).toEqual([])
    const well = new Picky(kit, () => false)
    well.order.push(...outage.order)
    await well.until(() => kit.queue.ledger.records === 0)
  })

  test('is tried again, beside others, with no more bytes than others got through', async () => {
    await using kit = await DeliveryKit.start(['bad'.repeat(1000), ...goodOnes(1)])
    kit.run(aRecordEach)
    const server = new Picky(kit, (seq) => seq === 0)
    await server.until(() => server.order.length === 3)
    for (let more = 0; more < 6; more++) await kit.append('good')
    await server.until(() => kit.queue.aside.length === 1)
    expect(server.order.flat()).toEqual([0, 1, 0, 2, 0])
  })
})

test('a receipt that refuses a record and is played again says nothing new, however often it comes', async () => {
  await using kit = await DeliveryKit.start(['one\n'])
  kit.run()
  let receipt: Uint8Array | undefined
  for (let time = 1; time < 8; time++) {
    const sent = await kit.chunks(time)
    const [entry] = entriesOf(sent)
    receipt ??= kit.receipt(entry ? [{ place: entry.place, digest: entry.digest, ...refused }] : [])
    sent.answer(answered(200, receipt))
    await kit.world.told.told('deliveryFailed', time)
    await kit.world.clock.skip()
  }
  expect(kit.queue.aside).toEqual([])
})

describe('any number of them in a row', () => {
  test.each([200, 400])('(%i) holds up nothing behind it', async (status) => {
    await using kit = await refusing()
    kit.run(aRecordEach)
    const server = new Picky(kit, isBad, status)
    await server.until(() => server.order.flat().includes(200))
    expect(server.order.length).toBeLessThan(25)
    expect(kit.queue.aside).toEqual([])
  })

  test('that receipts refuse is set aside, whether others come or not', async () => {
    await using kit = await refusing()
    kit.run()
    const server = new Picky(kit, isBad, 200)
    await server.until(() => kit.queue.aside.length === 200)
    expect(kit.queue.ledger.records).toBe(200)
    expect(server.order.length).toBeLessThan(60)
  })

  test('that receipts refuse: the oldest are tried again until they are set aside, or none would be counted to the end', async () => {
    await using kit = await DeliveryKit.start(Array.from({ length: 9 }, () => 'bad\n'))
    kit.run()
    const server = new Picky(kit, isBad, 200)
    await server.until(() => kit.queue.aside.length > 0)
    expect(server.order).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8], [0], [0, 1]])
    await server.until(() => kit.queue.aside.length === 9)
  })

  test('are tried again no more at once than a request may have', async () => {
    await using kit = await DeliveryKit.start([])
    kit.run()
    await kit.introduce('A'.repeat(22), 1, { maxBatchRecords: 4 })
    for (let count = 0; count < 20; count++) await kit.append('bad\n')
    const server = new Picky(kit, isBad, 200)
    await server.until(() => kit.queue.aside.length === 20)
    expect(Math.max(...server.order.map(({ length }) => length))).toBe(4)
  })

  test('that nobody signed for is set aside while others get receipts, and nothing of what is good', async () => {
    await using kit = await refusing()
    kit.run()
    const server = new Picky(kit, isBad)
    const chance = new Seeded(200)
    for (let more = 1; kit.queue.aside.length < 200; more++) {
      await kit.append(chance.bytes(20_000))
      await server.until(() => server.order.flat().includes(200 + more))
    }
    expect(kit.queue.aside.map(({ seq }) => Number(seq)).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 200 }, (_, seq) => seq),
    )
    await server.until(() => kit.queue.ledger.records === 200)
  })

  test('and good ones that were passed over with them get through', async () => {
    await using kit = await refusing()
    for (let more = 0; more < 150; more++) await kit.append('good\n')
    kit.run()
    const server = new Picky(kit, (seq) => isBad(seq) && seq % 3 > 0)
    await server.until(() => kit.queue.ledger.records === 133)
    expect(new Set(server.order.flat().filter((seq) => !isBad(seq))).size).toBe(151)
  })

  test('where the server refused everything, all of it goes once it does no more', async () => {
    await using kit = await refusing()
    kit.run()
    const outage = new Picky(kit, () => true, 400)
    await outage.until(() => outage.order.length === 60)
    const well = new Picky(kit, () => false)
    well.order.push(...outage.order)
    await well.until(() => kit.queue.ledger.records === 0)
    expect(kit.queue.aside).toEqual([])
    expect(well.order.length - outage.order.length).toBeLessThan(60)
  })
})
