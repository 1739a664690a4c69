import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadSigner } from '../../agent/key-file.ts'
import { makeStore } from '../../server-stub/parts.ts'
import { Seeded } from '../kit/seeded.ts'
import { Sortie } from '../kit/sortie.ts'
import { SortieServer } from '../kit/sortie-server.ts'

/** Another server with the receipt key of the first, that knows the drone, and has none of its records. */
async function secondServer(sortie: Sortie): Promise<SortieServer> {
  const data = join(sortie.folder, 'second')
  await mkdir(data)
  await copyFile(join(sortie.data, 'receipt.key'), join(data, 'receipt.key'))
  {
    await using store = await makeStore(data)
    const { publicKey } = loadSigner(join(sortie.folder, 'device.key'))
    await store.catalog.addDevice(sortie.device, publicKey, store.clock.now())
  }
  const server = new SortieServer(data)
  await server.start()
  return server
}

const haste = 1000
const delivery = { requestMaxBytes: '128KiB', requestTimeout: '1h', retry: { min: '1s', max: '60s' } }

test('two servers with one key and different records, connection by connection: nothing is lost, and little is sent twice', async () => {
  // A minute of the agent is 60 ms of the test, and so are its deadlines.
  await using sortie = await Sortie.start({ haste, settings: { delivery } })
  await using second = await secondServer(sortie)
  await sortie.agent.start()
  const chance = new Seeded(6)
  let writtenBytes = 0
  const write = async (): Promise<void> => {
    const piece = chance.bytes(5000)
    writtenBytes += piece.length
    await sortie.append('flight.log', piece)
    await sortie.land(24 * 3_600_000)
  }
  await write()
  sortie.link.retarget(sortie.server.port, second.port)
  const turns = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) {
      // Connections die as they do behind a balancer, and the next leads to the other one.
      sortie.link.cut()
      sortie.link.restore()
      await write()
    }
  }
  while (sortie.told.named('receiptsLost').length === 0) await turns(1)
  expect((await sortie.agent.status()).link.notice).toMatch(/does not have|take turns/)
  const [before, beganMs] = [sortie.link.bytesToServer, performance.now()]
  const writtenBefore = writtenBytes
  await turns(10)
  const [sent, written] = [sortie.link.bytesToServer - before, writtenBytes - writtenBefore]
  // Each time that files are begun again, all that was written so far may go again: not at each turn, but every ten minutes.
  const begun = ((performance.now() - beganMs) * haste) / 600_000
  expect(sent).toBeLessThan(written + (4 + begun) * writtenBytes)

  sortie.link.retarget(sortie.server.port)
  sortie.link.cut()
  sortie.link.restore()
  const whole = async (): Promise<boolean> => {
    const file = await sortie.read('flight.log')
    return (await sortie.streams()).some(({ bytes }) => bytes.equals(file))
  }
  while (!(await whole())) await turns(1)
})
