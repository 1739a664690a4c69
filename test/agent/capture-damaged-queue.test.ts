import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Recall, Recalled } from '../../agent/deliver/recall.ts'
import type { Extent } from '../../agent/queue/segment-log.ts'
import { sha256, type ByteOffset, type StreamId } from '../../protocol/ids.ts'
import { logPathFromBytes } from '../../protocol/log-path.ts'
import { Ground, queued, type Watch } from '../kit/capture-ground.ts'
import { flipBit } from '../kit/flip-bit.ts'

const lines = ['take-off\n', 'climb\n', 'cruise\n']
const flight = lines.join('')

/** Each line in a record of its own. */
async function write(path: string, watch: Watch, before = 0): Promise<void> {
  let bytes = before
  for (const line of lines) {
    await appendFile(path, line)
    await queued(watch, (bytes += line.length))
  }
}

/** Where each of the records stands that wait of a stream. */
async function extentsOf({ queue }: Watch, stream: StreamId): Promise<Extent[]> {
  const batch = await queue.take(1 << 20, 100)
  if (batch) queue.giveBack(batch)
  const entries = batch?.entries.filter((entry) => entry.stream === stream) ?? []
  return entries.flatMap(({ extent }) => extent ?? [])
}

/** Flips a bit at the end of a record's body. */
async function damage(ground: Ground, extent: Extent | undefined): Promise<void> {
  const [segment = ''] = await ground.kit.segments()
  await flipBit(segment, (extent?.offset ?? 0) + (extent?.length ?? 0) - 3)
}

/** Everything that LevelDB has had since this was first written is lost, without an error. */
async function loseFrom(ground: Ground, key: string): Promise<void> {
  const folder = join(ground.kit.state, 'queue')
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const at = name.endsWith('.log') ? (await readFile(path)).indexOf(key) : -1
    if (at >= 0) await flipBit(path, at)
  }
}

/** What the server says where it has these bytes of a flight in one record. */
function heldFrom(stream: StreamId, path: string, from: number, to: number): Recalled {
  const offset = from as ByteOffset
  const evidence = [{ offset, length: to - from, sha256: sha256(Buffer.from(flight.slice(from, to))) }]
  const name = logPathFromBytes(Buffer.from(path)) ?? ''
  return { stream, path: name, from: offset, position: to as ByteOffset, evidence, closed: null }
}

test('what stood before all that the server has, in a record that was damaged, is read again', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  let stream = '' as StreamId
  let extents: Extent[] = []
  await ground.watch(async (watch) => {
    await write(path, watch)
    stream = [...watch.queue.resumePoints.keys()][0] ?? stream
    extents = await extentsOf(watch, stream)
  })
  await damage(ground, extents[0])
  await rm(join(ground.kit.state, 'queue'), { recursive: true })
  // The others had been sent before the agent asked.
  const held = heldFrom(stream, path, 9, flight.length)
  const recall: Recall = async () => ({ is: 'told', generations: [held], timeMs: 0 })
  await ground.watch(
    async (watch) => {
      await watch.told.told('streamRecalled')
      await queued(watch, flight.length)
    },
    { options: { recall } },
  )
  expect((await ground.streams()).map((found) => [found.records[0]?.stream, found.text])).toEqual([
    [stream, flight],
  ])
})

test('what stood before all that the server has is named as lost where another file has its path', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  let stream = '' as StreamId
  let extents: Extent[] = []
  await ground.watch(async (watch) => {
    await write(path, watch)
    stream = [...watch.queue.resumePoints.keys()][0] ?? stream
    extents = await extentsOf(watch, stream)
  })
  await damage(ground, extents[0])
  await rm(join(ground.kit.state, 'queue'), { recursive: true })
  await rm(path)
  await writeFile(path, 'landed\n')
  const held = heldFrom(stream, path, 9, flight.length)
  const recall: Recall = async () => ({ is: 'told', generations: [held], timeMs: 0 })
  await ground.watch(
    async (watch) => {
      await watch.told.told('streamEnded')
    },
    { options: { recall } },
  )
  const before = (await ground.streams()).find(({ records }) => records[0]?.stream === stream)
  expect(before?.losses).toEqual([[0, 9, 'deleted']])
})

test('a stream goes on of which the index has lost the beginning, and the segments a part of the rest', async () => {
  await using ground = await Ground.start()
  const path = ground.path('flight.log')
  let stream = '' as StreamId
  let extents: Extent[] = []
  await writeFile(ground.path('before.log'), 'ready\n')
  await ground.watch(async (watch) => {
    await queued(watch, 6)
    await write(path, watch, 6)
    stream = [...watch.queue.resumePoints.values()].find(({ position }) => position > 6)?.stream ?? stream
    extents = await extentsOf(watch, stream)
  })
  await loseFrom(ground, `resume/${stream}`)
  await damage(ground, extents[1])
  await ground.watch(async (watch) => {
    await watch.capture.look()
    await queued(watch, 6 + flight.length)
  })
  const found = (await ground.streams()).filter(({ path: name }) => name === 'flight.log')
  expect(found.map(({ records, text }) => [records[0]?.stream, text])).toEqual([[stream, flight]])
})
