import { describe, expect, test } from 'vitest'
import { DeliveryKit, entriesOf, seqsOf } from '../kit/delivery-kit.ts'
import { answered } from '../kit/fake-link.ts'

const large = 'x'.repeat(60_000)
const longMs = 600_000

describe('a pause, while another request is under way', () => {
  test('ends with the receipt for that', async () => {
    await using kit = await DeliveryKit.start([`one ${large}`, `two ${large}`, 'three\n'])
    const delivery = kit.run({ requestMaxBytes: 1 })
    const [first, second] = [await kit.chunks(1), await kit.chunks(2)]
    first.answer(answered(503, undefined, longMs))
    await kit.world.told.told('deliveryFailed')
    expect(delivery.report.is).toBe('waiting')
    kit.store(second)
    expect(seqsOf(await kit.chunks(3))).toHaveLength(1)
    expect(delivery.report.is).toBe('sending')
  })

  test('does not end with a receipt that refuses all of it', async () => {
    await using kit = await DeliveryKit.start([`one ${large}`, `two ${large}`, 'three\n'])
    const delivery = kit.run({ requestMaxBytes: 1 })
    const [first, second] = [await kit.chunks(1), await kit.chunks(2)]
    first.answer(answered(503, undefined, longMs))
    await kit.world.told.told('deliveryFailed')
    const refused = entriesOf(second).map(({ place, digest }) => {
      return { place, digest, outcome: 'refused', refusal: 'KEY_REVOKED' } as const
    })
    second.answer(answered(200, kit.receipt(refused)))
    await kit.world.told.told('receiptVerified')
    // A turn of the disk is longer than any that the answer takes.
    await kit.append('four\n')
    expect(delivery.report.is).toBe('waiting')
  })
})
