import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** How a program ended: by itself or by a signal. */
export interface Ending {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Ended extends Ending {
  readonly stdout: string
  readonly stderr: string
}

export const cacheFolder = join(root, 'node_modules/.cache/logbox-test')
/** Where the programs are that build-programs.ts made, in a run that it began. */
export const builtPrograms = 'LOGBOX_TEST_PROGRAMS'

/** What was compiled before is read. */
const environment = { PATH: '/usr/bin:/bin', HOME: '/nonexistent', NODE_COMPILE_CACHE: cacheFolder }

/** The file to start for a file of the tree: itself, or what was built of it. */
export function programFile(file: string): string {
  const built = join(process.env[builtPrograms] ?? '', file.replace(/ts$/, 'mjs'))
  return process.env[builtPrograms] !== undefined && existsSync(built) ? built : join(root, file)
}

/** A real process of ours. It ends with its scope, by its own id. */
export class Program implements AsyncDisposable {
  readonly exited: Promise<Ending>
  readonly #child: ChildProcess
  readonly #name: string
  readonly #output: Buffer[] = []
  readonly #watchers = new Set<() => void>()
  /** Of stdout and stderr together, whole ones. */
  readonly lines: string[] = []
  stderr = ''

  /** Runs a program of the tree with this very node. */
  static start(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
    return Program.spawn(process.execPath, ['--max-semi-space-size=1', programFile(file), ...args], env)
  }

  static spawn(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Program {
    const child = spawn(command, args, {
      env: { ...environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return new Program(child, args.join(' '))
  }

  private constructor(child: ChildProcess, name: string) {
    this.#child = child
    this.#name = name
    child.stdout?.on('data', (piece: Buffer) => this.#output.push(piece))
    child.stderr?.on('data', (piece: Buffer) => (this.stderr += piece.toString()))
    this.#collect(child.stdout)
    this.#collect(child.stderr)
    this.exited = once(child, 'close').then(([status, signal]) => {
      this.#tell()
      return { status: status as number | null, signal: signal as NodeJS.Signals | null }
    })
  }

  #collect(stream: NodeJS.ReadableStream | null): void {
    let rest = ''
    stream?.on('data', (piece: Buffer) => {
      const lines = (rest + piece.toString()).split('\n')
      rest = lines.pop() ?? ''
      this.lines.push(...lines)
      this.#tell()
    })
  }

  #tell(): void {
    for (const watch of this.#watchers) watch()
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#output)
  }

  /** The first line, of those already there too, that fits. Throws where the program ends before. */
  async line(pattern: RegExp): Promise<string> {
    return this.until(() => this.lines.find((line) => pattern.test(line)), String(pattern))
  }

  /** What `find` finds in the output, as soon as it does. */
  async until<T>(find: () => T | undefined, what: string): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const watch = (): void => {
      const found = find()
      if (found !== undefined) resolve(found)
      else if (!this.isRunning) {
        reject(new Error(`${this.#name} ended without ${what}:\n${this.lines.slice(-20).join('\n')}`))
      }
    }
    this.#watchers.add(watch)
    watch()
    try {
      return await promise
    } finally {
      this.#watchers.delete(watch)
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** SIGKILL: it has no say in it. */
  async kill(): Promise<Ending> {
    this.signal('SIGKILL')
    return this.exited
  }

  /** Runs to its end. */
  async ended(): Promise<Ended> {
    const ending = await this.exited
    return { ...ending, stdout: this.stdout.toString(), stderr: this.stderr }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

/** Runs a file of the tree to its end. */
export async function run(file: string, args: readonly string[]): Promise<Ended> {
  await using program = Program.start(file, args)
  return await program.ended()
}
