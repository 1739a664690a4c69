import { setImmediate as aTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { paths } from '../../protocol/contract.ts'
import { DeliveryKit, entriesOf, seqsOf } from '../kit/delivery-kit.ts'
import { answered, cut } from '../kit/fake-link.ts'

const [first, second] = ['AAAAAAAAAAAAAAAAAAAAAA', 'BBBBBBBBBBBBBBBBBBBBBA']
const minuteMs = 60_000

/** A request fails, the next gets through: there is a link again, and a reason to ask who is there. */
async function interrupt(kit: DeliveryKit, text: string, sent: number): Promise<void> {
  const { clock, told } = kit.world
  const [failed, recovered] = [told.named('deliveryFailed').length, told.named('deliveryRecovered').length]
  clock.advance(minuteMs)
  await kit.append(text)
  const failing = await kit.chunks(sent)
  failing.answer(cut('ECONNREFUSED', 0))
  await told.told('deliveryFailed', failed + 1)
  await clock.skip()
  kit.store(await kit.chunks(sent + 1))
  await told.told('deliveryRecovered', recovered + 1)
  clock.advance(minuteMs)
  await kit.append(`${text} again`)
}

describe('what the server says of itself', () => {
  test('makes requests and chunks smaller, and is remembered over a restart', async () => {
    await using kit = await DeliveryKit.start([])
    const limits = { maxRecordBytes: 65_536, maxBatchBytes: 65_536, maxBatchRecords: 2 }
    const delivery = kit.run()
    expect(delivery.maxChunkBytes).toBe(8 << 20)
    expect(delivery.catchUpBytes).toBe(2 << 20)
    await kit.introduce(first, 1, limits)
    while (delivery.maxChunkBytes === 8 << 20) await Promise.resolve()
    expect(delivery.maxChunkBytes).toBe(65_536 - 4096 - 128)
    expect(delivery.catchUpBytes).toBe(delivery.maxChunkBytes)
    for (const text of ['one\n', 'two\n', 'three\n']) await kit.append(text)
    for (let time = 1; kit.queue.ledger.records > 0; time++) {
      const sent = await kit.chunks(time)
      expect(seqsOf(sent).length).toBeLessThanOrEqual(2)
      kit.store(sent)
      await kit.world.told.told('forgotten', time)
      kit.world.clock.advance(minuteMs)
    }
    expect(JSON.parse((await kit.queue.recall('capabilities')) ?? '')).toMatchObject(limits)
  })

  test('is asked for again with the next attempt while no answer of any kind has come', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run()
    const asking = await kit.link.to(paths.capabilities)
    asking.answer(cut('ECONNREFUSED', 0))
    const failing = await kit.chunks()
    kit.world.clock.advance(1000)
    failing.answer(cut('ECONNREFUSED', 0))
    await kit.world.told.told('deliveryFailed')
    await kit.world.clock.skip()
    await kit.chunks(2)
    expect((await kit.link.to(paths.capabilities, 2)).request.method).toBe('GET')
  })

  test('is asked for until something without a body came back, so that the round trip is not that of whole requests', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run()
    const asking = await kit.link.to(paths.capabilities)
    asking.answer(cut('ECONNREFUSED', 0))
    const sent = await kit.chunks()
    kit.world.clock.advance(1000)
    kit.store(sent)
    await kit.emptied()
    await kit.append('two\n')
    kit.store(await kit.chunks(2))
    await kit.link.to(paths.capabilities, 2)
    kit.world.clock.advance(600)
    await kit.introduce(first, 2)
    await kit.emptied()
    kit.world.clock.advance(minuteMs)
    await kit.append('three\n')
    kit.store(await kit.chunks(3))
    await kit.emptied()
    const asked = kit.link.asked.filter(({ request }) => request.path === paths.capabilities)
    expect(asked).toHaveLength(2)
  })

  test('is not asked for with each attempt where somebody else answers, as a login page does', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run({ retry: { minMs: 1, maxMs: 1 } })
    const asked = () => kit.link.asked.filter(({ request }) => request.path === paths.capabilities)
    await kit.link.to(paths.capabilities)
    for (let attempts = 1; attempts <= 10; attempts++) {
      const failing = await kit.chunks(attempts)
      for (const question of asked()) question.answer(answered(404))
      failing.answer(answered(404))
      await kit.world.told.told('deliveryFailed', attempts)
      kit.world.clock.advance(1000)
    }
    expect(asked()).toHaveLength(1)
  })

  test('says how many records a batch may have', async () => {
    await using kit = await DeliveryKit.start(['one\n', 'two\n', 'three\n', 'four\n'])
    kit.run()
    const early = await kit.chunks()
    await kit.introduce(first, 1, { maxBatchRecords: 3 })
    await kit.world.told.told('requestSent')
    early.answer(cut('ECONNREFUSED', 0))
    await kit.world.told.told('deliveryFailed')
    await kit.world.clock.skip()
    expect(seqsOf(await kit.chunks(2))).toEqual([0, 1, 2])
  })

  test('makes nothing larger, and what is no answer changes nothing', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    const delivery = kit.run()
    const asked = await kit.link.to(paths.capabilities)
    asked.answer(answered(200, Buffer.from('{"maxRecordBytes": 1e12}')))
    kit.store(await kit.chunks())
    await kit.emptied()
    expect(delivery.maxChunkBytes).toBe(8 << 20)
  })
})

describe('a store that was never met before', () => {
  test('is noticed without a failure, too: whoever sends asks every five minutes', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run()
    await kit.introduce(first)
    kit.store(await kit.chunks())
    await kit.emptied()
    kit.world.clock.advance(5 * minuteMs)
    await kit.append('two\n')
    kit.store(await kit.chunks(2))
    await kit.introduce(second, 2)
    kit.store(await kit.question(), () => false)
    expect(await kit.world.told.told('receiptsLost')).toEqual([second])
  })

  test('is asked for a record from before it was there: it has what it gave receipts for itself', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run()
    kit.store(await kit.chunks())
    await kit.emptied()
    await kit.introduce(first)
    for (let time = 2; time < 4; time++) {
      kit.world.clock.advance(1000)
      await kit.append(`${time}\n`)
      kit.store(await kit.chunks(time))
      await kit.emptied()
    }
    kit.world.clock.advance(5 * minuteMs)
    await kit.append('four\n')
    kit.store(await kit.chunks(4))
    await kit.introduce(second, 2)
    expect(seqsOf(await kit.question())).toEqual([0])
  })

  test('and does not have the last record that has a receipt: a person is told, and files are begun again, once', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    let lost = 0
    const delivery = kit.run({ onReceiptsLost: async () => void lost++ })
    await kit.introduce(first)
    kit.store(await kit.chunks())
    await kit.emptied()
    await interrupt(kit, 'two', 2)
    await kit.introduce(second, 2)
    const question = await kit.question()
    expect(seqsOf(question)).toEqual([1])
    kit.store(question, () => false)
    expect(await kit.world.told.told('receiptsLost')).toEqual([second])
    expect(lost).toBe(1)
    expect(delivery.report).toMatchObject({
      notice: expect.stringContaining('does not have what it signed for'),
    })
    kit.store(await kit.chunks(4))
    await kit.emptied()
  })

  test('or seems not to have it in a receipt that was overheard: nothing is lost, and it is asked again', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run({ onReceiptsLost: () => expect.unreachable('nothing is lost') })
    await kit.introduce(first)
    const sent = await kit.chunks()
    const overheard = kit.receipt(entriesOf(sent))
    kit.store(sent)
    await kit.emptied()
    await interrupt(kit, 'two', 2)
    await kit.introduce(second, 2)
    ;(await kit.question()).answer(answered(200, overheard))
    kit.store(await kit.chunks(4))
    await kit.emptied()
    await interrupt(kit, 'three', 5)
    await kit.introduce(second, 3)
    kit.store(await kit.question(2))
    kit.store(await kit.chunks(7))
    await kit.emptied()
    expect(kit.world.told.named('receiptsLost')).toEqual([])
  })

  test('and has it is no loss', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run({ onReceiptsLost: async () => expect.unreachable('nothing is lost') })
    await kit.introduce(first)
    kit.store(await kit.chunks())
    await kit.emptied()
    await interrupt(kit, 'two', 2)
    await kit.introduce(second, 2)
    kit.store(await kit.question())
    kit.store(await kit.chunks(4))
    await kit.emptied()
    expect(kit.world.told.named('receiptsLost')).toEqual([])
  })

  test('and another one by turns: a person is told, and files are begun again ever more seldom', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    const { clock } = kit.world
    const lostMs: number[] = []
    const delivery = kit.run({ onReceiptsLost: async () => void lostMs.push(clock.monotonicMs()) })
    await kit.introduce(first)
    kit.store(await kit.chunks())
    await kit.emptied()
    const beganMs = clock.monotonicMs()
    for (let turn = 0, questions = 0; turn < 60; turn++) {
      const store = turn % 2 === 0 ? second : first
      clock.advance(5 * minuteMs)
      await kit.append(`turn ${turn}`)
      kit.store(await kit.chunks(turn + 2))
      await kit.emptied()
      await kit.introduce(store, turn + 2)
      const isMet = async (): Promise<boolean> =>
        (await kit.queue.recall('stores'))?.endsWith(`"${store}"]`) ?? false
      while (!(await isMet())) {
        await aTurn()
        const [question] = kit.link.asked
          .filter(({ request }) => request.path === paths.receipts)
          .slice(questions)
        if (question) kit.store(question, () => false)
        if (question) questions++
      }
    }
    const minutes = lostMs.map((ms) => Math.round((ms - beganMs) / minuteMs))
    expect(minutes.length).toBeGreaterThan(2)
    expect(minutes.length).toBeLessThan(7)
    const gaps = minutes.slice(1).map((at, index) => at - (minutes[index] ?? 0))
    expect(gaps).toEqual(gaps.toSorted((a, b) => a - b))
    expect(delivery.report.notice).toContain('take turns')
  })
})
