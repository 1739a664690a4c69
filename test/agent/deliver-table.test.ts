import { readFileSync } from 'node:fs'
import { setImmediate as aTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Answer } from '../../agent/deliver/link.ts'
import { paths } from '../../protocol/contract.ts'
import { DeliveryKit, entriesOf } from '../kit/delivery-kit.ts'
import { answered, cut, type Asked } from '../kit/fake-link.ts'

const retry = { minMs: 500, maxMs: 60_000 }

/** Of a table of docs/delivery.md: name, what is done, whether the server is asked first. */
type Row = readonly [name: string, does: string, asksFirst: boolean]

function rowsUnder(heading: string): Row[] {
  const page = readFileSync(new URL('../../docs/delivery.md', import.meta.url), 'utf8')
  const [, body = ''] = page.split(new RegExp(`^\\| ${heading} .*\\n.*\\n`, 'm'))
  return (body.split('\n\n', 1)[0] ?? '').split('\n').map((line) => {
    const [name = '', does = '', asks = ''] = line.split('|').slice(1, 4)
    return [name.trim().replaceAll('`', ''), does.trim(), asks.trim() === 'yes']
  })
}

/** As `status` says it. */
const becauses: Readonly<Record<string, string>> = {
  'keep, retry with backoff': 'retry',
  'keep, make smaller': 'smaller',
  'keep, tell a person, retry slowly': 'person',
  'keep, not our server, retry with backoff': 'portal',
}

/** The next request with records or a question about them; time passes where nobody asks. */
async function nextOf(kit: DeliveryKit, before: number): Promise<Asked> {
  for (;;) {
    const asked = kit.link.asked.filter(({ request }) => request.path !== paths.capabilities)[before]
    if (asked && asked.sentBytes === (asked.request.sluice ? asked.request.body?.length : 0)) return asked
    if (kit.world.clock.nextMs !== undefined) kit.world.clock.advance(100)
    await aTurn()
  }
}

/** What is seen of a batch that is answered like this, and of what follows. */
async function seenOf(answer: Answer): Promise<object> {
  await using kit = await DeliveryKit.start(['one\n', 'two\n'])
  const delivery = kit.run({ retry })
  ;(await nextOf(kit, 0)).answer(answer)
  await kit.world.told.told('deliveryFailed')
  const { report } = delivery
  const kept = kit.queue.ledger.records
  const asksFirst = (await nextOf(kit, 1)).request.path === paths.receipts
  if (report.is !== 'waiting') throw new Error(`it is ${report.is}`)
  return { because: report.because, kept, asksFirst, isSlow: report.retryInMs >= retry.maxMs / 2 }
}

/** By chance a pause is as long as one for which a person is waited. */
function expected(does: string, asksFirst: boolean): object {
  const because = becauses[does]
  const slowly = because === 'person' ? { isSlow: true } : {}
  return { because, kept: 2, asksFirst, ...slowly }
}

test.each(rowsUnder('status').filter(([name]) => name !== '200'))(
  'status %s: %s, asks first: %s',
  async (name, does, asksFirst) => {
    expect(await seenOf(answered(Number(name.replace('xx', '99'))))).toMatchObject(expected(does, asksFirst))
  },
)

// Who closes the gate is no failure: what follows it is a test of the gate.
test.each(rowsUnder('no answer').filter(([name]) => name !== 'ABANDONED'))(
  '%s: %s, asks first if something left: %s',
  async (name, does, asksFirst) => {
    const code = name === 'any other' ? 'EWHATEVER' : name
    expect(await seenOf(cut(code, 0))).toMatchObject(expected(does, false))
    expect(await seenOf(cut(code, 100))).toMatchObject(expected(does, asksFirst))
  },
)

test.each(rowsUnder('refused in a receipt'))('a record refused with %s: %s', async (name, does) => {
  const refusal = name === 'any other' ? 'NEW_CODE' : name
  await using kit = await DeliveryKit.start(['one\n'])
  const delivery = kit.run({ retry })
  for (let time = 0; time < 3; time++) {
    expect(kit.queue.asideRecords).toBe(0)
    const asked = await nextOf(kit, time)
    const refused = entriesOf(asked).map(
      ({ place, digest }) => ({ place, digest, outcome: 'refused', refusal }) as const,
    )
    asked.answer(answered(200, kit.receipt(refused)))
    if (time < 2) await kit.world.told.told('deliveryFailed', time + 1)
  }
  const isForAPerson = becauses[does] === 'person'
  await kit.world.told.told(isForAPerson ? 'deliveryFailed' : 'recordSetAside', isForAPerson ? 3 : 1)
  expect(kit.queue.ledger.records).toBe(1)
  const { report } = delivery
  const isWaiting = report.is === 'waiting' && report.because === 'person'
  const found = { aside: kit.queue.asideRecords, isWaiting }
  expect(found).toEqual({ aside: isForAPerson ? 0 : 1, isWaiting: isForAPerson })
})
