import type { Life, Watch } from './capture-ground.ts'
import { nextBatch } from './queue-kit.ts'

/** So little room that most of a file of 30,000 bytes of noise waits in the file. */
export const tightQueue: Life = { queueBytes: 12_000 }

/** What is read of one file while the queue takes nothing: a chunk that waits for room, and the next one. */
const heldBytes = 2 * 4096

/**
 * Resolves once the queue is full, the file was seen with this size, and nothing more of it can be read; gives how far it
 * was.
 */
export async function heldUp({ queue, capture, told }: Watch, size: number): Promise<number> {
  await told.told('streamStarted')
  for (;;) {
    await capture.look()
    const [generation] = capture.followed
    if (queue.state.is !== 'full' || generation?.seenBytes !== size) continue
    if (generation.readTo - generation.queuedTo === heldBytes) return generation.readTo
  }
}

/** Looks on, and gives receipts for what is queued. */
export async function drain({ queue, capture }: Watch): Promise<void> {
  await capture.look()
  const batch = await nextBatch(queue, 1 << 20, 100)
  if (batch) await queue.forget(batch.entries)
}

/** From where to where bytes were lost first, and why, as the journal tells once the queue is drained. */
export async function firstLoss(watch: Watch): Promise<readonly [from: number, to: number, why: unknown]> {
  while (watch.told.named('bytesLost').length === 0) await drain(watch)
  const [[, , offset, length, why] = []] = watch.told.named('bytesLost')
  return [Number(offset), Number(offset) + Number(length), why]
}
