import type { ClockState } from '../protocol/manifest.ts'

/** Time, as the drone can know it. */
export interface Clock {
  /** Milliseconds since some moment of this boot; never goes back. Decides every pause and age. */
  monotonicMs(): number
  /** Milliseconds since 1970 by a clock that may be wrong. A label, and the start of an epoch's number. */
  wallMs(): number
  wallState(): Promise<ClockState>
  /** 16 bytes, new at every boot. */
  readonly bootId: Uint8Array
  /** Resolves after `ms`, or quietly when the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}
