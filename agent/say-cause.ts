/** A failure of disk or network in a few words: "ENOSPC: no space left on device, write". The deepest cause counts. */
export function sayCause(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  return cause.cause instanceof Error ? sayCause(cause.cause) : cause.message
}
