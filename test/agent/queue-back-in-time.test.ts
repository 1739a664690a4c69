import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { evidenceAfter } from '../../agent/queue/evidence.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import { labelOf } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { noise } from '../kit/noise.ts'
import { never, QueueKit, withheld } from '../kit/queue-kit.ts'
import { Seeded } from '../kit/seeded.ts'

/** Of which a segment takes about four. */
const recordBytes = 2500
const queueBytes = 80_000

test.each([1, 2, 3, 4, 5, 7, 9])(
  'a LevelDB of after %i records, although the segments went on over several ends, loses none of them',
  async (kept) => {
    await using kit = await QueueKit.start()
    const index = join(kit.state, 'queue')
    const old = await kit.folder('old')
    const texts = Array.from({ length: 12 }, (_, seed) => `#${seed} ${noise(recordBytes, new Seeded(seed))}`)
    let epoch = 0
    {
      await using queue = await kit.open(fakeWorld(), queueBytes)
      const { resume } = await kit.arrival('')
      await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
      for (const text of texts.slice(0, kept)) await kit.append(queue, text)
      await cp(index, old, { recursive: true })
      for (const text of texts.slice(kept)) await kit.append(queue, text)
      expect((await kit.segments()).length).toBeGreaterThan(2)
      epoch = queue.head.epoch
    }
    await rm(index, { recursive: true })
    await cp(old, index, { recursive: true })
    await using queue = await kit.open(fakeWorld(2), queueBytes)
    expect(queue.head).toMatchObject({ epoch, next: texts.length })
    expect(queue.resumePoints.get(kit.label.stream)?.position).toBe(texts.join('').length)
    expect(await kit.drain(queue)).toEqual(texts)
  },
)

test('a record that no index knows of is not read again, although the one before it is damaged', async () => {
  await using kit = await QueueKit.start()
  const index = join(kit.state, 'queue')
  const old = await kit.folder('old')
  {
    await using queue = await kit.open()
    const { resume } = await kit.arrival('')
    await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
    await kit.append(queue, 'one\n')
    await cp(index, old, { recursive: true })
    await kit.append(queue, 'two\n')
  }
  await rm(index, { recursive: true })
  await cp(old, index, { recursive: true })
  const [segment = ''] = await kit.segments()
  const bytes = await readFile(segment)
  bytes.write('#', bytes.indexOf('autopilot'))
  await writeFile(segment, bytes)
  await using queue = await kit.open(fakeWorld(2))
  expect(queue.resumePoints.get(kit.label.stream)?.position).toBe('one\ntwo\n'.length)
  expect(await kit.drain(queue)).toEqual([withheld, 'two\n'])
})

test('a stream that began behind the end of an older LevelDB goes on, and is not read once more as another', async () => {
  await using kit = await QueueKit.start()
  const index = join(kit.state, 'queue')
  const old = await kit.folder('old')
  const label = labelOf('/var/log/flight/payload.log')
  {
    await using queue = await kit.open()
    await kit.append(queue, 'one\n')
    await cp(index, old, { recursive: true })
    const next = await kit.arrival('two\n', label)
    const resume = { ...next.resume, position: 4 as ByteOffset }
    await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
    await queue.append({ ...next, offset: 0 as ByteOffset, resume }, never)
  }
  await rm(index, { recursive: true })
  await cp(old, index, { recursive: true })
  await using queue = await kit.open(fakeWorld(2))
  expect(queue.head.next).toBe(2)
  const evidence = evidenceAfter([], 0, Buffer.from('two\n'))
  expect(queue.resumePoints.get(label.stream)).toMatchObject({ position: 4, evidence })
})

test('a damaged record behind the head begins a new chain, whichever lane has the last segment', async () => {
  await using kit = await QueueKit.start()
  const index = join(kit.state, 'queue')
  const old = await kit.folder('old')
  let epoch = 0
  {
    await using queue = await kit.open()
    await kit.append(queue, 'one\n')
    await cp(index, old, { recursive: true })
    await kit.append(queue, 'two\n')
    await queue.append({ ...(await kit.arrival('urgent\n')), lane: 'high' }, never)
    await kit.append(queue, 'three, which was sent\n')
    epoch = queue.head.epoch
  }
  await rm(index, { recursive: true })
  await cp(old, index, { recursive: true })
  const [normal = '', high] = await kit.segments()
  expect(high).toMatch(/high/)
  const bytes = await readFile(normal)
  bytes.write('#', bytes.indexOf('three'))
  await writeFile(normal, bytes)
  await using queue = await kit.open(fakeWorld(2))
  expect(queue.head.epoch).toBeGreaterThan(epoch)
})
