import { runProgram } from '../../agent/cli/program.ts'
import type { Terminal } from '../../agent/cli/terminal.ts'

/** A terminal that remembers what it was shown. */
export class FakeTerminal implements Terminal {
  readonly env: Readonly<Record<string, string>>
  readonly hasColor: boolean
  readonly canRedraw: boolean
  stdout = ''
  stderr = ''
  #ms = 0

  constructor({ env = {}, isScreen = false }: { env?: Record<string, string>; isScreen?: boolean } = {}) {
    this.env = env
    this.hasColor = isScreen
    this.canRedraw = isScreen
  }

  print(text: string): void {
    this.stdout += text
  }

  tell(text: string): void {
    this.stderr += text
  }

  columns(): number {
    return 80
  }

  /** A second goes by between two looks. */
  nowMs(): number {
    return (this.#ms += 1000)
  }

  handOver(): void {
    throw new Error('nobody asked for a configuration')
  }
}

interface Shown {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command of the agent in this process, as main.ts would. */
export async function run(args: readonly string[], terminal = new FakeTerminal()): Promise<Shown> {
  const status = await runProgram(args, terminal)
  return { status, stdout: terminal.stdout, stderr: terminal.stderr }
}

export const screen = (): FakeTerminal => new FakeTerminal({ isScreen: true })
