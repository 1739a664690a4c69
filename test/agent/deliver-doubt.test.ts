import { describe, expect, test } from 'vitest'
import { paths } from '../../protocol/contract.ts'
import { DeliveryKit, entriesOf, seqsOf } from '../kit/delivery-kit.ts'
import { answered, cut } from '../kit/fake-link.ts'

const texts = ['one\n', 'two\n', 'three\n']

describe('after a cut', () => {
  test('the server is asked what it has, and only the rest is sent again', async () => {
    await using kit = await DeliveryKit.start(texts)
    kit.run()
    const first = await kit.chunks()
    expect(seqsOf(first)).toEqual([0, 1, 2])
    first.answer(cut('ECONNRESET', 500))
    await kit.world.told.told('deliveryFailed')
    await kit.world.clock.skip()
    const question = await kit.question()
    expect(seqsOf(question)).toEqual([0, 1, 2])
    expect(kit.link.asked.filter(({ request }) => request.path === paths.chunks)).toHaveLength(1)
    kit.store(question, (seq) => seq < 2)
    const second = await kit.chunks(2)
    expect(seqsOf(second)).toEqual([2])
    kit.store(second)
    await kit.emptied()
    expect(kit.world.told.named('forgotten')).toEqual([[2], [1]])
  })

  test('before a byte had left, it is not asked', async () => {
    await using kit = await DeliveryKit.start(texts)
    kit.run()
    const first = await kit.chunks()
    first.answer(cut('ECONNREFUSED', 0))
    await kit.world.told.told('deliveryFailed')
    await kit.world.clock.skip()
    kit.store(await kit.chunks(2))
    await kit.emptied()
    expect(kit.link.asked.some(({ request }) => request.path === paths.receipts)).toBe(false)
  })

  test('and where nothing answers any more, the question alone is tried again, and no more batches come into doubt', async () => {
    await using kit = await DeliveryKit.start(texts)
    kit.run({ requestMaxBytes: 1 })
    const sent = [await kit.chunks(1), await kit.chunks(2)]
    for (const asked of sent) asked.answer(cut('STALLED', 5))
    for (let time = 1; time < 6; time++) {
      await kit.world.told.told('deliveryFailed', time)
      await kit.world.clock.skip()
      const question = await kit.question(time)
      expect(seqsOf(question)).toEqual([0, 1])
      // What would be sent is there by then: it comes from the same disk.
      await kit.append('more\n')
      question.answer(cut('STALLED', 0))
    }
    expect(kit.link.asked.filter(({ request }) => request.path === paths.chunks)).toHaveLength(2)
  })

  test.each([404, 405, 415])(
    'an answer of %i to that is no answer: the third time it is sent as it is, and the next cut is asked about again',
    async (status) => {
      await using kit = await DeliveryKit.start(['one\n'])
      kit.run()
      const first = await kit.chunks()
      first.answer(cut('ECONNRESET', 500))
      for (const time of [1, 2, 3]) {
        await kit.world.told.told('deliveryFailed', time)
        await kit.world.clock.skip()
        const question = await kit.question(time)
        question.answer(answered(status))
      }
      await kit.world.told.told('deliveryFailed', 4)
      await kit.world.clock.skip()
      const second = await kit.chunks(2)
      second.answer(cut('ECONNRESET', 500))
      await kit.world.told.told('deliveryFailed', 5)
      await kit.world.clock.skip()
      kit.store(await kit.question(4))
      await kit.emptied()
      expect(seqsOf(second)).toEqual([0])
    },
  )

  test("a login page's 404 while it is there has nothing sent twice once it is gone", async () => {
    await using kit = await DeliveryKit.start(texts)
    kit.run()
    const sent = await kit.chunks()
    sent.answer(cut('ECONNRESET', 500))
    await kit.world.told.told('deliveryFailed')
    await kit.world.clock.skip()
    const question = await kit.question()
    question.answer(answered(404))
    await kit.world.told.told('deliveryFailed', 2)
    await kit.world.clock.skip()
    kit.store(await kit.question(2))
    await kit.emptied()
    expect(kit.link.asked.filter(({ request }) => request.path === paths.chunks)).toHaveLength(1)
  })

  test('somebody else who answers to the question lets nothing go; the third time it is sent without asking', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    kit.run()
    const first = await kit.chunks()
    first.answer(cut('STALLED', 5))
    for (const time of [1, 2, 3]) {
      await kit.world.told.told('deliveryFailed', time)
      await kit.world.clock.skip()
      const question = await kit.question(time)
      question.answer(answered(200, Buffer.from('<html>')))
    }
    await kit.world.told.told('deliveryFailed', 4)
    expect(kit.queue.ledger.records).toBe(1)
    await kit.world.clock.skip()
    kit.store(await kit.chunks(2))
    await kit.emptied()
  })
})

test('where batches get through and the question never does, it is sent without asking', async () => {
  await using kit = await DeliveryKit.start(['one\n'])
  kit.run()
  const first = await kit.chunks()
  first.answer(cut('ECONNRESET', 5))
  for (let time = 1; time <= 6; time++) {
    await kit.world.told.told('deliveryFailed', time)
    await kit.world.clock.skip()
    const question = await kit.question(time)
    question.answer(cut('ECONNRESET', 40))
  }
  await kit.world.told.told('deliveryFailed', 7)
  await kit.world.clock.skip()
  const second = await kit.chunks(2)
  expect(seqsOf(second)).toEqual([0])
  kit.store(second)
  await kit.emptied()
})

test('where a link that is down breaks each question at once, it is asked first for as long as that lasts', async () => {
  await using kit = await DeliveryKit.start(['one\n', 'two\n'])
  kit.run({ requestMaxBytes: 1 })
  const [first, second] = [await kit.chunks(1), await kit.chunks(2)]
  kit.world.clock.advance(600)
  kit.store(first)
  await kit.world.told.told('forgotten')
  second.answer(cut('ECONNRESET', 5))
  for (let time = 1; time <= 20; time++) {
    await kit.world.told.told('deliveryFailed', time)
    await kit.world.clock.skip()
    const question = await kit.question(time)
    question.answer(cut('ECONNRESET', 40))
  }
  expect(kit.link.asked.filter(({ request }) => request.path === paths.chunks)).toHaveLength(2)
})

test('other records follow a question that left and was not broken for a while, before its answer is there', async () => {
  await using kit = await DeliveryKit.start(['one\n'])
  kit.run()
  const first = await kit.chunks()
  await kit.append('two\n')
  first.answer(cut('ECONNRESET', 5))
  await kit.world.told.told('deliveryFailed')
  await kit.world.clock.skip()
  const question = await kit.question()
  expect(seqsOf(question)).toEqual([0])
  expect(kit.link.asked.filter(({ request }) => request.path === paths.chunks)).toHaveLength(1)
  await kit.world.clock.someoneSleeps()
  kit.world.clock.advance(100)
  const second = await kit.chunks(2)
  expect(seqsOf(second)).toEqual([1])
  kit.store(second)
  kit.store(question)
  await kit.emptied()
})

test('where nothing of the question leaves either, it is asked first for as long as that lasts', async () => {
  await using kit = await DeliveryKit.start(['one\n'])
  kit.run()
  const first = await kit.chunks()
  first.answer(cut('ECONNRESET', 5))
  for (let time = 1; time <= 20; time++) {
    await kit.world.told.told('deliveryFailed', time)
    await kit.world.clock.skip()
    const question = await kit.question(time)
    question.answer(cut('ECONNREFUSED', 0))
  }
  expect(kit.link.asked.filter(({ request }) => request.path === paths.chunks)).toHaveLength(1)
})

test.each([
  [401, 'register it'],
  [403, 'does not accept this key'],
])('a %i keeps everything, says which key it is about, and is tried again slowly', async (status, words) => {
  await using kit = await DeliveryKit.start(texts)
  const delivery = kit.run()
  const sent = await kit.chunks()
  sent.answer(answered(status))
  await kit.world.told.told('deliveryFailed')
  const { report } = delivery
  expect(report).toMatchObject({ is: 'waiting', because: 'person', why: expect.stringContaining(words) })
  expect(report).toMatchObject({ why: expect.stringMatching(/the key of hexa-7 is [\w-]{43}/) })
  expect(report.is === 'waiting' && report.retryInMs).toBeGreaterThanOrEqual(30_000)
  expect(kit.queue.ledger.records).toBe(3)
})

test('a proxy that wants to know who asks is a matter for a person, over TLS as well', async () => {
  await using kit = await DeliveryKit.start(['one\n'])
  const delivery = kit.run()
  const sent = await kit.chunks()
  sent.answer(cut('PROXY_LOGIN', 0))
  await kit.world.told.told('deliveryFailed')
  expect(delivery.report).toMatchObject({
    is: 'waiting',
    because: 'person',
    why: expect.stringContaining('check server.proxy'),
  })
})

test('a record that a receipt refuses because of the key is never set aside', async () => {
  await using kit = await DeliveryKit.start(['one\n'])
  kit.run()
  for (let time = 1; time < 6; time++) {
    const sent = await kit.chunks(time)
    const refused = entriesOf(sent).map(({ place, digest }) => {
      return { place, digest, outcome: 'refused', refusal: 'KEY_REVOKED' } as const
    })
    sent.answer(answered(200, kit.receipt(refused)))
    await kit.world.told.told('deliveryFailed', time)
    await kit.world.clock.skip()
  }
  expect(kit.queue.aside).toEqual([])
})

test('new addresses or routes, and a clock that was set, end a pause', async () => {
  await using kit = await DeliveryKit.start(['one\n'])
  kit.run()
  const first = await kit.chunks()
  first.answer(answered(503, new Uint8Array(0), 600_000))
  await kit.world.told.told('deliveryFailed')
  await kit.world.clock.someoneSleeps()
  kit.world.surroundings.change()
  kit.store(await kit.chunks(2))
  await kit.emptied()
  expect(kit.queue.ledger.records).toBe(0)
})
