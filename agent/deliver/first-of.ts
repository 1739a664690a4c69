/** Resolves when the first of these does, or when the signal fires; the others are told to end. */
export async function firstOf(
  waits: readonly ((over: AbortSignal) => Promise<void>)[],
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  // With a reason: without one an error is made, with its stack.
  const end = (): void => over.abort('over')
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  const waiting = waits.map((wait) => wait(over.signal))
  await Promise.race(waiting)
  signal.removeEventListener('abort', end)
  end()
}
