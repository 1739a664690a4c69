import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { FileFacts } from '../../agent/world.ts'
import { Ground, queued, resting } from '../kit/capture-ground.ts'
import { saidFacts } from '../kit/said-facts.ts'

const line = 'shipped before\n'

test.each([
  ['has a lasting identity', (facts: FileFacts): FileFacts => facts],
  [
    'is known by its path and content',
    (facts: FileFacts): FileFacts => ({ ...facts, birthNs: 0n, inode: 7n }),
  ],
])('a size that is stale when the agent starts ends no stream of a file that %s', async (_, say) => {
  await using ground = await Ground.start()
  await writeFile(ground.path('a.log'), line)
  await ground.watch((watch) => queued(watch, line.length))
  // Told of its path, and told once more when it was opened.
  let stale = 2
  const files = saidFacts((facts) => ({ ...say(facts), size: stale-- > 0 ? 5 : facts.size }))
  await ground.watch(
    async (watch) => {
      await watch.told.told('streamStarted')
      await resting(watch)
      expect(watch.told.named('streamEnded')).toEqual([])
    },
    { files },
  )
  expect(await ground.texts()).toEqual([{ path: 'a.log', text: line }])
})
