import { expect, test } from 'vitest'
import { realWorld } from '../../agent/world.ts'
import { QueueKit } from '../kit/queue-kit.ts'

test('what is given back while the next batch is read, at any moment of that, is handed out again', async () => {
  await using kit = await QueueKit.start()
  await using queue = await kit.open(realWorld())
  for (const text of ['one\n', 'two\n', 'three\n']) await kit.append(queue, text)
  for (let moment = 0; moment < 60; moment++) {
    const first = await queue.take(1, 1)
    const taking = queue.take(1, 1)
    for (let passed = 0; passed < moment; passed++)
      await (passed % 4 === 3 ? new Promise(setImmediate) : Promise.resolve())
    if (first) queue.giveBack(first)
    const second = await taking
    const rest = await queue.take(1 << 20, 10)
    expect((second?.entries.length ?? 0) + (rest?.entries.length ?? 0), `moment ${moment}`).toBe(3)
    for (const batch of [second, rest]) if (batch) queue.giveBack(batch)
  }
})
