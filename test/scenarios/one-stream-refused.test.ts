import { describe, expect, test } from 'vitest'
import type { StatusReport } from '../../agent/control/report.ts'
import { paths } from '../../protocol/contract.ts'
import { showLogPath } from '../../protocol/log-path.ts'
import { NockDrone } from '../kit/nock-drone.ts'
import { refusing } from '../kit/nock-scenarios.ts'
import { PickyProxy } from '../kit/picky-proxy.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'

/** A record for each of them. */
const smallest = { maxBytes: '4KiB', maxAge: '50ms' }
/** Without the end of a line, at which a chunk would rather end. */
const badOnes = (records: number): Buffer =>
  Buffer.from(new Seeded(1).bytes(records * 4096).map((byte) => (byte === 10 ? 11 : byte)))

const fileOf = ({ files }: StatusReport, name: string): StatusReport['files'][number] | undefined =>
  files.find(({ path }) => path.endsWith(name))

describe('many records in a row that do not get through hold up nothing behind them', () => {
  test('where a proxy answers 422 to all of one file: the others arrive, and in the end they are set aside', async () => {
    const bad = badOnes(64)
    const settings = { chunks: smallest, delivery: { requestMaxBytes: '128KiB', requestTimeout: '1h' } }
    await using sortie = await Sortie.start({ settings, haste: 100 })
    await using proxy = await PickyProxy.start(sortie.server.port, ({ path }) =>
      showLogPath(path).endsWith('bad.log'),
    )
    sortie.link.retarget(proxy.port)
    await sortie.append('bad.log', bad)
    await sortie.agent.start()
    await sortie.agent.statusUntil(({ queue }) => queue.records === 64)
    const chance = new Seeded(2)
    let written = 0
    do {
      await sortie.append('good.log', chance.text(300_000))
      written += 300_000
      await sortie.agent.statusUntil((report) => fileOf(report, 'good.log')?.receiptedBytes === written)
    } while ((await sortie.agent.status()).queue.setAsideRecords < 64)
    const report = await sortie.agent.status()
    expect(report.queue.setAside[0]).toMatchObject({ why: expect.stringContaining('answered 422') })
    // Kept, and not lost: with another server they would be there to send.
    expect(fileOf(report, 'bad.log')?.queuedBytes).toBe(bad.length)
    const [gap, ...others] = await sortie.verify()
    expect(gap).toContain('records 0 to 63 are not here')
    expect(others).toEqual([])
    const [good] = await sortie.streams()
    expect(good?.bytes.equals(await sortie.read('good.log'))).toBe(true)
  })

  test('where the server itself refuses them, by a code that this agent does not know: they are set aside, and the others arrive', async () => {
    const bad = badOnes(200)
    await using drone = await NockDrone.start(refusing('bad.log', 'A_CODE_OF_LATER'), {
      settings: { chunks: smallest, queue: { maxBytes: '64MiB' } },
    })
    await drone.append('bad.log', bad)
    await drone.told.told('recordSetAside')
    await drone.append('good.log', 'behind them\n')
    await drone.told.told('forgotten')
    await drone.told.told('recordSetAside', 200)
    expect(drone.server.contentOf(drone.path('good.log'))).toBe('behind them\n')
    expect(drone.server.contentOf(drone.path('bad.log'))).toBe('')
    // Three times each, and no more for how many they are.
    const sent = drone.server.requests.filter(({ path }) => path === paths.chunks)
    const bytes = sent.reduce((sum, { body }) => sum + body.length, 0)
    expect(bytes).toBeLessThan(5 * bad.length)
  })
})
