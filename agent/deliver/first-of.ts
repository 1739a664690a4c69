/** Settles as the first of these does, or when the signal fires; the others are told to end. */
export async function firstOf(
  waits: readonly ((over: AbortSignal) => Promise<void>)[],
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  // With a reason: without one an error is made, with its stack.
  const end = (): void => over.abort('over')
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  try {
    await Promise.race(waits.map((wait) => wait(over.signal)))
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}
