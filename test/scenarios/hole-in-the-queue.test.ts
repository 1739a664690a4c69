import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { realWorld, type World } from '../../agent/world.ts'
import { SegmentLog } from '../../agent/queue/segment-log.ts'
import { Flight } from '../kit/flight.ts'
import { Sortie } from '../kit/sortie.ts'

/** Takes the first record out of the index and damages it in its segment. */
async function loseFirst({ state }: { readonly state: string }, text: string): Promise<void> {
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
})

test.each(['segmentWritten', 'segmentSynced', 'indexWritten'])(
  'a hole is mended once, though the agent is killed with SIGKILL after %s of what mends it',
  async (step) => {
    await using flight = await Flight.start()
    await flight.stopServer()
    await flight.startAgent()
    for (const [index, text] of ['first\n', 'second\n'].entries()) {
      await flight.append('a.log', text)
      await flight.statusUntil(({ queue }) => queue.records > index)
    }
    await flight.killAgent()
    await loseFirst(flight, 'first\n')
    const { exited } = await flight.startDyingAgent(step, 1)
    expect((await exited).signal).toBe('SIGKILL')
    await flight.startServer()
    await flight.startAgent()
    await flight.land()
    // Of what was damaged beyond repair the place in the chain stays empty.
    expect(await flight.whatIsWrong()).toEqual([expect.stringContaining('record 0 is not here')])
  },
)
