import { join } from 'node:path'
import type { Queue } from '../../agent/queue/queue.ts'
import type { ByteOffset } from '../../protocol/ids.ts'
import type { QueueKit } from './queue-kit.ts'

export const texts = Array.from({ length: 10 }, (_, index) => `record ${index}\n`)

/** Appends these records, whose stream has its resume point from the start, as capture sees to. */
export async function fill(kit: QueueKit, queue: Queue): Promise<void> {
  const { resume } = await kit.arrival('')
  await queue.setResumePoint({ ...resume, position: 0 as ByteOffset })
  for (const text of texts) await kit.append(queue, text)
}

/** Fills it, and opens it once more, so that LevelDB has a table and a log. */
export async function filledTwice(kit: QueueKit): Promise<number> {
  {
    await using queue = await kit.open()
    await fill(kit, queue)
  }
  await using queue = await kit.open()
  return queue.head.epoch
}

/** Where LevelDB is. */
export const indexFolder = (kit: QueueKit): string => join(kit.state, 'queue')
