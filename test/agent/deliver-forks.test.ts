import { expect, test } from 'vitest'
import { paths } from '../../protocol/contract.ts'
import type { ReceiptEntry } from '../../protocol/receipt.ts'
import { DeliveryKit, entriesOf } from '../kit/delivery-kit.ts'
import { answered } from '../kit/fake-link.ts'
import { skipUntil } from '../kit/fake-world.ts'

const records = 40
const forks = 10

test('what is to be sealed anew, and finds no room on the disk, holds up nothing behind it', async () => {
  const texts = Array.from({ length: records }, (_, index) => `${index} ${'x'.repeat(500)}\n`)
  await using delivery = await DeliveryKit.start(texts)
  const { world, link, queue } = delivery
  world.disk.failing.set('write', 'ENOSPC')
  delivery.run({ requestMaxBytes: 1000 })
  for (let request = 1; queue.ledger.records > forks; request++) {
    const asked = await skipUntil(world, link.to(paths.chunks, request))
    asked.answer(answered(200, delivery.receipt(entriesOf(asked).map(judged))))
  }
  expect(world.told.named('recordForked').length).toBeGreaterThan(0)
}, 30_000)

/** The first places are taken at the server. */
function judged(entry: ReceiptEntry): ReceiptEntry {
  const { place, digest } = entry
  return place && place.seq < forks ? { place, digest, outcome: 'forked' } : entry
}
