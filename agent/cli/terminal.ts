import type { Environment } from '../config-overrides.ts'

/** What a command sees of the process that it runs in. */
export interface Terminal {
  readonly env: Environment
  /** Facts, to stdout. */
  print(text: string): void
  /** Progress and errors, to stderr. */
  tell(text: string): void
  /** Whether stdout shows colours. */
  readonly hasColor: boolean
  /** Whether stderr is a terminal whose line can be written again. */
  readonly canRedraw: boolean
  /** The width of stderr in characters. */
  columns(): number
  /** Milliseconds that never go back. */
  nowMs(): number
  /** Gives the checked configuration, as `packConfig` writes it, to the process that will run the agent. */
  handOver(config: string): void
}
