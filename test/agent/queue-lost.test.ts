import { appendFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Ground, queued } from '../kit/capture-ground.ts'

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
