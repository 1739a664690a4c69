import { expect, test } from 'vitest'
import { DeliveryKit, seqsOf } from '../kit/delivery-kit.ts'

test('what comes alone is sent at once', async () => {
  await using kit = await DeliveryKit.start([])
  kit.run()
  await kit.append('one\n')
  kit.store(await kit.chunks())
  await kit.emptied()
  kit.world.clock.advance(1000)
  await kit.append('two\n')
  expect(seqsOf(await kit.chunks(2))).toEqual([1])
})

test('what comes thick and fast shares requests, each a tenth of a second after the last', async () => {
  await using kit = await DeliveryKit.start([])
  kit.run()
  await kit.append('one\n')
  kit.store(await kit.chunks())
  await kit.emptied()
  for (const text of ['two\n', 'three\n', 'four\n']) await kit.append(text)
  expect(await kit.world.clock.skip()).toBeLessThanOrEqual(100)
  expect(seqsOf(await kit.chunks(2))).toEqual([1, 2, 3])
})

test('what fills a request waits for nothing', async () => {
  await using kit = await DeliveryKit.start([])
  kit.run({ requestMaxBytes: 1 })
  await kit.append('one\n')
  kit.store(await kit.chunks())
  await kit.emptied()
  await kit.append('two\n')
  expect(seqsOf(await kit.chunks(2))).toEqual([1])
})

test('what is urgent waits for nothing', async () => {
  await using kit = await DeliveryKit.start([])
  kit.run()
  await kit.append('one\n')
  kit.store(await kit.chunks())
  await kit.emptied()
  await kit.append('two\n')
  await kit.append('urgent\n', 'high')
  expect(seqsOf(await kit.chunks(2))).toEqual([2])
})

test('what is gathered is sent when its time is up, even between two looks at the clock', async () => {
  await using kit = await DeliveryKit.start([])
  const { clock } = kit.world
  kit.run()
  await kit.append('one\n')
  kit.store(await kit.chunks())
  await kit.emptied()
  await kit.append('two\n')
  await clock.someoneSleeps()
  const dueMs = clock.nextMs ?? 0
  const read = clock.monotonicMs.bind(clock)
  let early = 1
  // As a timer that fires early: for the first lane it is not yet time, for the next it is.
  clock.monotonicMs = () => (read() === dueMs && early-- > 0 ? dueMs - 0.01 : read())
  clock.advance(dueMs - read())
  await clock.skip()
  expect(seqsOf(await kit.chunks(2))).toEqual([1])
})
