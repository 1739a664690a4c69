import type { Terminal } from '../agent/cli/terminal.ts'

/** Nobody's: of a program that is used while it is built, only errors are told. */
export const quietTerminal: Terminal = {
  env: {},
  print: () => undefined,
  tell: (text) => void process.stderr.write(text),
  hasColor: false,
  canRedraw: false,
  columns: () => 80,
  nowMs: () => 0,
  handOver: () => undefined,
}
