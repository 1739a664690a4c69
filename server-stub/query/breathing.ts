import type { Clock } from '../clock.ts'

/** So many rows cost some milliseconds. */
const stride = 200

/**
 * The same items; every now and then others that wait for this thread have their turn before the next. Ends early, and
 * quietly, when the signal fires.
 */
export async function* breathing<T>(
  items: Iterable<T> | AsyncIterable<T>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let count = 0
  for await (const item of items) {
    if (++count % stride === 0) await clock.sleep(0, signal)
    if (signal.aborted) return
    yield item
  }
}
