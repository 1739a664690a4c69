import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ByteOffset } from '../../protocol/ids.ts'
import { recordOpening } from '../../protocol/record.ts'
import { Ground, queued } from '../kit/capture-ground.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, QueueKit } from '../kit/queue-kit.ts'

test('a file whose resume point was lost with LevelDB goes on in its stream, read once more or not', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, 'take-off\nclimb\n')
  await ground.watch(async (watch) => queued(watch, 15))
  await rm(join(ground.kit.state, 'queue'), { recursive: true })
  await appendFile(path, 'cruise\n')
  await ground.watch(async (watch) => queued(watch, 22))
  expect(await ground.texts()).toEqual([{ path: 'flight.log', text: 'take-off\nclimb\ncruise\n' }])
})

/** Two records were written as one group when the power failed, and the page of the first is not on the disk. */
async function torn(kit: QueueKit): Promise<{ readonly epoch: number; readonly position: number }> {
  const world = fakeWorld()
  await using queue = await kit.open(world)
  const { resume } = await kit.arrival('')
  await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
  const arrivals = [await kit.arrival('safe\n'), await kit.arrival('torn\n'), await kit.arrival('whole\n')]
  // While the first is written, the others become a group.
  const appending = arrivals.map((arrival) => queue.append(arrival, never))
  await world.told.told('indexWritten')
  world.disk.failing.set('indexWrite', 'EIO')
  await world.told.told('queueBlocked')
  await queue[Symbol.asyncDispose]()
  expect(await Promise.all(appending)).toEqual([true, false, false])
  const [segment = ''] = await kit.segments()
  const bytes = await readFile(segment)
  const second = bytes.indexOf(recordOpening, 1)
  bytes.fill(0, second, bytes.indexOf(recordOpening, second + 1))
  await writeFile(segment, bytes)
  return { epoch: queue.head.epoch, position: 5 }
}

const nowhere = async (): Promise<undefined> => undefined
const stillInFile = async () => Buffer.from('whole\n')

test('a whole record behind a torn one is read again from its file, and leaves no gap in the chain', async () => {
  await using kit = await QueueKit.start()
  const { epoch, position } = await torn(kit)
  {
    await using queue = await kit.openWith({ findBytes: stillInFile }, fakeWorld(2))
    expect(queue.head.epoch).toBeGreaterThan(epoch)
    expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(position)
    expect(queue.ledger.records).toBe(1)
    expect(queue.missing).toBe(0)
  }
  await using queue = await kit.openWith({ findBytes: stillInFile }, fakeWorld(3))
  expect(await kit.drain(queue)).toEqual(['safe\n'])
})

test('a whole record behind a torn one is kept where its file has not got the bytes', async () => {
  await using kit = await QueueKit.start()
  await torn(kit)
  await using queue = await kit.openWith({ findBytes: nowhere }, fakeWorld(2))
  expect(await kit.drain(queue)).toEqual(['safe\n', 'whole\n'])
})

test('a start that fails before its new chain is begun takes no place twice', async () => {
  await using kit = await QueueKit.start()
  const { epoch } = await torn(kit)
  const world = fakeWorld(2)
  world.disk.failing.set('rename', 'EIO')
  await expect(kit.openWith({ findBytes: nowhere }, world)).rejects.toThrow('EIO')
  await using queue = await kit.openWith({ findBytes: nowhere }, fakeWorld(3))
  expect(queue.head.epoch).toBeGreaterThan(epoch)
  expect(await kit.drain(queue)).toEqual(['safe\n', 'whole\n'])
})
