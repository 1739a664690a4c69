import type { Queue } from './queue/queue.ts'
import type { Clock } from './clock.ts'

/** Resolves when the signal fires. */
export function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Resolves when every record that can be delivered has its receipt, or when the signal fires. */
export async function drained(queue: Queue, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const seen = queue.changed.rings
    if (queue.ledger.records <= queue.asideRecords) return
    await queue.changed.waitBeyond(seen, Infinity, clock, signal)
  }
}
