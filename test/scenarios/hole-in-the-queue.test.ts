import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { realWorld, type World } from '../../agent/world.ts'
import { SegmentLog } from '../../agent/queue/segment-log.ts'
import { Sortie } from '../kit/sortie.ts'

/** Takes the first record out of the index and damages it in its segment. */
async function loseFirst({ state }: Sortie, text: string): Promise<void> {
  const world = realWorld()
  const index = await world.openIndex(join(state, 'queue'))
  const keys = await index.keys().all()
  for (const prefix of ['record/', 'shipped/'])
    await index.del(keys.find((key) => key.startsWith(prefix)) ?? '')
  await index.close()
  const folder = join(state, 'segments')
  await using log = await SegmentLog.open(folder, world.files, 1)
  const path = join(folder, `${String(log.segments[0]).padStart(8, '0')}.logb`)
  const bytes = await readFile(path)
  bytes.write('#', bytes.indexOf(text))
  await writeFile(path, bytes)
}

/** A world in which this file opens only once the gate does. */
function slowToOpen(name: string, gate: { isShut: boolean; readonly opens: Promise<void> }): World {
  const world = realWorld()
  const openToRead: World['files']['openToRead'] = async (path) => {
    if (gate.isShut && Buffer.from(path).toString().endsWith(name)) await gate.opens
    return world.files.openToRead(path)
  }
  return { ...world, files: { ...world.files, openToRead } }
}

test('other files are shipped while a hole in the queue waits for its file, and a flush waits for it', async () => {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>()
  const gate = { isShut: false, opens: opened }
  await using sortie = await Sortie.start({ world: slowToOpen('a.log', gate) })
  sortie.linkDown()
  await sortie.agent.start()
  for (const [index, text] of ['first\n', 'second\n'].entries()) {
    await sortie.append('a.log', text)
    await sortie.agent.statusUntil(({ queue }) => queue.records > index)
  }
  await sortie.agent.stop()
  await loseFirst(sortie, 'first\n')
  sortie.linkUp()
  gate.isShut = true
  await sortie.append('b.log', 'of another file\n')
  await sortie.agent.start({ sources: [{ paths: [sortie.path('b.log')] }] })
  expect(sortie.told.named('recordsMissing')).toEqual([[1]])
  await sortie.streamsUntil((streams) => streams.some(({ path }) => path.endsWith('b.log')))
  expect(await sortie.agent.flush(2000)).toMatchObject({ done: false })
  open()
  await sortie.land()
  const streams = await sortie.streams()
  expect(new Map(streams.map(({ path, bytes }) => [path, String(bytes)]))).toEqual(
    new Map([
      ['a.log', 'first\nsecond\n'],
      ['b.log', 'of another file\n'],
    ]),
  )
}, 30_000)
