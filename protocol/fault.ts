/** What a fault means to the shell (sysexits.h), and what a person can do about it. */
export interface FaultKind {
  readonly exit: number
  /** Ends the line "what: where", so that it says what now. */
  readonly hint: string
}

/** Exit statuses, as sysexits.h names them. */
export const exits = {
  done: 0,
  usage: 64,
  noInput: 66,
  unavailable: 69,
  bug: 70,
  disk: 74,
  tryAgain: 75,
  notAllowed: 77,
  config: 78,
} as const

/** An expected failure: its code is stable, its message says what and where. A bug is any other exception. */
export class Fault extends Error {
  readonly code: string
  readonly kind: FaultKind

  constructor(code: string, kind: FaultKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Fault'
    this.code = code
    this.kind = kind
  }
}

/** The one line a person reads: what, where, what now. */
export function faultLine(fault: Fault): string {
  return `${fault.message}: ${fault.kind.hint}`
}
