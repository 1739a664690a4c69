import { appendFile, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recogniseByContent } from '../../agent/capture/identity.ts'
import { Witness } from '../../agent/capture/witness.ts'
import { realWorld } from '../../agent/world.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { recordOpening } from '../../protocol/record.ts'
import { Ground, queued } from '../kit/capture-ground.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

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
  await expect(kit.openWith({ findBytes: nowhere }, world)).rejects.toMatchObject({
    code: 'QUEUE_UNREADABLE',
  })
  await using queue = await kit.openWith({ findBytes: nowhere }, fakeWorld(3))
  expect(queue.head.epoch).toBeGreaterThan(epoch)
  expect(await kit.drain(queue)).toEqual(['safe\n', 'whole\n'])
})

test('a file that took the name of one whose resume point was lost begins a stream of its own', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await ground.watch(async (watch) => {
    await writeFile(path, 'first, delivered\n')
    await queued(watch, 17)
    await watch.queue.forget((await nextBatch(watch.queue, 1 << 20, 10))?.entries ?? [])
  })
  await ground.watch(async (watch) => {
    await appendFile(path, 'first, queued\n')
    await queued(watch, 14)
  })
  await rename(path, ground.path('flight.old.log'))
  await writeFile(path, 'second, and longer than all that stood in the first\n')
  await rm(join(ground.kit.state, 'queue'), { recursive: true })
  await ground.watch(async (watch) => queued(watch, 14 + 52 + 31))
  expect(await ground.texts()).toEqual([
    { path: 'flight.log', text: 'first, delivered\nfirst, queued\n' },
    { path: 'flight.log', text: 'second, and longer than all that stood in the first\n' },
  ])
})

test('a lost resume point of which no bytes are left is not taken for that of its path', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  await writeFile(path, 'whole\n')
  const { dev, ino, birthtimeNs } = await stat(path, { bigint: true })
  const identity = { device: String(dev), inode: String(ino), birthNs: String(birthtimeNs) }
  const unknown = { device: '0', inode: '0', birthNs: '0' }
  const { resume } = await ground.kit.arrival('')
  const point = { ...resume, path: labelOf(path).path, identity: unknown, position: 0 as ByteOffset }
  await using file = await realWorld().files.openToRead(Buffer.from(path))
  const found = { paths: [Buffer.from(path)], identity }
  const facts = await file.facts()
  const ask = (about: typeof point) =>
    recogniseByContent(new Set([about]), found, file, facts, false, new Witness())
  expect(await ask(point)).toBeUndefined()
  const known = { ...point, identity: { ...identity, device: '1' } }
  expect(await ask(known)).toBe(known)
})

test('a queue that was lost does not pass over what was written since, though startAt is end', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  const life = { source: { startAt: 'end' as const } }
  await writeFile(path, 'before\n')
  await ground.watch(async (watch) => {
    await watch.told.told('streamStarted')
    await appendFile(path, 'one\n')
    await queued(watch, 4)
  }, life)
  await appendFile(path, 'two, while it was off\n')
  await rm(ground.kit.state + '/queue', { recursive: true })
  for (const segment of await ground.kit.segments()) await rm(segment)
  await ground.watch(async (watch) => {
    await watch.told.told('streamStarted')
    await queued(watch, 33)
  }, life)
  expect(await ground.texts()).toEqual([{ path: 'flight.log', text: 'before\none\ntwo, while it was off\n' }])
}, 20_000)
