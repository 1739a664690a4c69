/** The outside of a command: what it prints to, and what tells it to stop. main.ts has the real one. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Facts, on stdout. Resolves once they are taken, so that a slow reader holds the writer back. */
  print(facts: string | Uint8Array): Promise<void>
  /** The journal and errors, on stderr. */
  readonly tell: (text: string) => void
  columns(): number
  /** Fires when the process is asked to stop. A command that does not ask for it is just ended. */
  untilStopped(): AbortSignal
}
