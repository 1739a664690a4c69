/** Time as a parameter: parts.ts has the real one. */
export interface Clock {
  /** Milliseconds since 1970, as the wall clock says. */
  now(): number
  /** Milliseconds since any fixed moment: ages are measured by it, because the wall clock may be set. */
  monotonicMs(): number
  /** Returns early, and quietly, when the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}
