import { setImmediate as aTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Delivery } from '../../agent/deliver/deliver.ts'
import type { Answer } from '../../agent/deliver/link.ts'
import { capabilitiesOf } from '../../protocol/capabilities.ts'
import { paths } from '../../protocol/contract.ts'
import { DeliveryKit } from '../kit/delivery-kit.ts'
import { answered, cut } from '../kit/fake-link.ts'

const store = 'AAAAAAAAAAAAAAAAAAAAAA'
const minuteMs = 60_000

const saying = (said: object): Answer => answered(200, Buffer.from(JSON.stringify(said)))
const ours = capabilitiesOf(store)

const nonsense: [string, Answer, RegExp][] = [
  ['a web page', { ...answered(200, Buffer.from('<html>')), mediaType: 'text/html' } as Answer, /text\/html/],
  ['JSON that is something else', saying({ status: 'ok' }), /nothing of a server of ours/],
  ['JSON that is no object', saying([null]), /nothing of a server of ours/],
  ['limits of 0', saying({ ...ours, maxRecordBytes: 0, maxBatchBytes: 0 }), /less than every server/],
  ['limits that are text', saying({ ...ours, maxRecordBytes: 'much' }), /nothing of a server of ours/],
  ['a version that is not ours', saying({ ...ours, versions: [2] }), /does not speak the version/],
  ['status 404', answered(404), /status 404/],
  ['a redirect', answered(302), /status 302/],
]

/** The answer to a question has been read. */
async function told(delivery: Delivery, isTold: (notice: string | undefined) => boolean): Promise<void> {
  while (!isTold(delivery.report.notice)) await aTurn()
}

const questions = (kit: DeliveryKit) =>
  kit.link.asked.filter(({ request }) => request.path === paths.capabilities)

describe('where what the server takes is answered with', () => {
  test.each(nonsense)(
    '%s, delivery goes on, status says so, and it is asked again',
    async (_, answer, why) => {
      await using kit = await DeliveryKit.start(['one\n'])
      const delivery = kit.run()
      const asked = await kit.link.to(paths.capabilities)
      asked.answer(answer)
      await told(delivery, (notice) => notice !== undefined)
      expect(delivery.report.notice).toMatch(why)
      expect(delivery.maxChunkBytes).toBe(8 << 20)
      kit.store(await kit.chunks())
      await kit.emptied()
      expect(await kit.queue.recall('capabilities')).toBeUndefined()
      kit.world.clock.advance(minuteMs)
      await kit.append('two\n')
      kit.store(await kit.chunks(2))
      await kit.introduce(store, 2, { maxRecordBytes: 65_536 })
      await told(delivery, (notice) => notice === undefined)
      expect(delivery.maxChunkBytes).toBeLessThan(65_536)
      await kit.emptied()
    },
  )

  test('nonsense after an answer of the server, its limits stay as they were, over a restart too', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    const delivery = kit.run()
    await kit.introduce(store, 1, { maxRecordBytes: 65_536 })
    kit.store(await kit.chunks())
    await kit.emptied()
    kit.world.clock.advance(5 * minuteMs)
    await kit.append('two\n')
    kit.store(await kit.chunks(2))
    ;(await kit.link.to(paths.capabilities, 2)).answer(answered(200, Buffer.from('<html>')))
    await told(delivery, (notice) => notice !== undefined)
    expect(delivery.maxChunkBytes).toBeLessThan(65_536)
    expect(JSON.parse((await kit.queue.recall('capabilities')) ?? '')).toMatchObject({
      maxRecordBytes: 65_536,
    })
    await kit.emptied()
  })
})

describe('where what the server takes is not answered', () => {
  test('records get through all the while, one question waits at a time, and the second that breaks is told', async () => {
    await using kit = await DeliveryKit.start([])
    const delivery = kit.run()
    let sent = 0
    const send = async (): Promise<void> => {
      kit.world.clock.advance(1000)
      await kit.append('a line\n')
      kit.store(await kit.chunks(++sent))
      await kit.emptied()
    }
    for (let time = 1; time <= 3; time++) {
      const asked = await kit.link.to(paths.capabilities, time)
      await send()
      await send()
      expect(questions(kit)).toHaveLength(time)
      expect(delivery.report.notice === undefined).toBe(time < 3)
      asked.answer(cut('STALLED', 0))
      await send()
    }
    expect(delivery.report.notice).toMatch(/GET \/v1\/capabilities brought STALLED/)
  })

  test('and nothing gets through either, status says that, once', async () => {
    await using kit = await DeliveryKit.start(['one\n'])
    const delivery = kit.run()
    ;(await kit.link.to(paths.capabilities)).answer(answered(302))
    ;(await kit.chunks()).answer(answered(302))
    await kit.world.told.told('deliveryFailed')
    expect(delivery.report).toMatchObject({ is: 'waiting', because: 'portal' })
    expect(delivery.report.notice).toBeUndefined()
  })
})
