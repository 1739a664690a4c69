import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Queue } from '../../agent/queue/queue.ts'
import { Fault } from '../../protocol/fault.ts'
import { makeSigner } from '../kit/drone.ts'
import { fakeWorld } from '../kit/fake-world.ts'
import { QueueKit } from '../kit/queue-kit.ts'
import { fill, texts } from '../kit/ten-records.ts'

describe('the queue of another', () => {
  const stranger = makeSigner()

  test.each([
    ['device', 'hexa-8', undefined],
    ['key', 'hexa-7', stranger],
  ])('%s is refused and left as it is', async (_, device, signer) => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await fill(kit, queue)
    }
    const options = { device: device as never, stateDirectory: kit.state, maxBytes: 1 << 30 }
    const opening = Queue.open(options, signer ?? kit.signer, fakeWorld(2))
    const fault: unknown = await opening.catch((cause: unknown) => cause)
    if (!(fault instanceof Fault)) throw new Error('a queue of another was opened', { cause: fault })
    expect(fault.code).toBe('STATE_FOREIGN')
    expect(fault.kind.exit).toBe(78)
    expect(fault.message).toContain('device hexa-7')
    await using queue = await kit.open(fakeWorld(2))
    expect(queue.head.next).toBe(texts.length)
    expect(await kit.drain(queue)).toEqual(texts)
    expect(queue.aside).toEqual([])
  })

  test('is refused and left as it is although LevelDB was lost', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await fill(kit, queue)
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    const options = { device: 'hexa-7' as never, stateDirectory: kit.state, maxBytes: 1 << 30 }
    const opening = Queue.open(options, stranger, fakeWorld(2)).then((queue) => queue[Symbol.asyncDispose]())
    await expect(opening).rejects.toMatchObject({ code: 'STATE_FOREIGN' })
    await using queue = await kit.open(fakeWorld(3))
    expect(await kit.drain(queue)).toEqual(texts)
  })

  test('is not what a flipped bit makes of its own, wherever that is', async () => {
    await using kit = await QueueKit.start()
    {
      await using queue = await kit.open()
      await kit.append(queue, 'one\n')
    }
    await rm(join(kit.state, 'queue'), { recursive: true })
    const [segment = ''] = await kit.segments()
    const whole = await readFile(segment)
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at & 7))
      await rm(join(kit.state, 'queue'), { recursive: true, force: true })
      await writeFile(segment, damaged)
      await using queue = await kit.open(fakeWorld(2))
      expect(queue.ledger.records, `byte ${at}`).toBe(0)
    }
  })
})
