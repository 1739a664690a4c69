/** Runs Logbox's programs as a person would: as processes, from source or as built binaries. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'

/** The program, and the arguments that come before all others. */
export type Command = readonly [program: string, ...first: string[]]

const root = join(import.meta.dirname, '..')
export const agentFromSource: Command = [
  process.execPath,
  '--max-semi-space-size=1',
  join(root, 'agent/main.ts'),
]
export const serverFromSource: Command = [process.execPath, join(root, 'server-stub/main.ts')]

/** Settings in the person's environment are for their own agent. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LOGBOX_')))

function start(
  [program, ...first]: Command,
  args: readonly string[],
  stdio: StdioOptions,
  signal?: AbortSignal,
) {
  const stopping = signal ? { signal, killSignal: 'SIGKILL' as const } : {}
  return spawn(program, [...first, ...args], { env, stdio, ...stopping })
}

/** Null where a signal ended it. */
async function statusOf(child: ChildProcess): Promise<number | null> {
  await once(child, 'close')
  return child.exitCode
}

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export async function run(command: Command, args: readonly string[], signal: AbortSignal): Promise<Outcome> {
  const child = start(command, args, ['ignore', 'pipe', 'pipe'], signal)
  const ended = [text(piped(child.stdout)), text(piped(child.stderr)), statusOf(child)] as const
  const [stdout, stderr, status] = await Promise.all(ended)
  return { status, stdout, stderr }
}

/** What it printed; throws where it did not end well. */
export async function ask(command: Command, args: readonly string[], signal: AbortSignal): Promise<string> {
  const { status, stdout, stderr } = await run(command, args, signal)
  if (status === 0) return stdout
  throw new Error(`"${args.join(' ')}" ended with status ${status}: ${stderr.trim()}`)
}

/** Runs it on the person's own terminal. */
export function show(command: Command, args: readonly string[], signal: AbortSignal): Promise<number | null> {
  return statusOf(start(command, args, ['ignore', 'inherit', 'inherit'], signal))
}

export interface Content {
  readonly bytes: number
  readonly sha256: string
}

export async function contentOf(source: AsyncIterable<unknown>): Promise<Content> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const piece of source as AsyncIterable<Uint8Array>) {
    hash.update(piece)
    bytes += piece.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** The content that it writes to its output, which may be larger than memory. */
export async function contentFrom(
  command: Command,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Content & { readonly status: number | null }> {
  const child = start(command, args, ['ignore', 'pipe', 'ignore'], signal)
  const [content, status] = await Promise.all([contentOf(piped(child.stdout)), statusOf(child)])
  return { ...content, status }
}

function piped(stream: Readable | null): Readable {
  if (stream) return stream
  throw new Error('it is not piped')
}

/** A program that runs until it is told to stop. Disposed of while it runs, it is killed. */
export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #journal: string
  readonly #ended: Promise<number | null>
  readonly #firstLine: Promise<unknown[]>

  private constructor(child: ChildProcess, journal: string) {
    this.#child = child
    this.#journal = journal
    this.#ended = statusOf(child)
    this.#firstLine = once(createInterface(piped(child.stdout)), 'line')
  }

  /** What it says to stderr is added to the file `journal`. */
  static async start(command: Command, args: readonly string[], journal: string): Promise<Daemon> {
    const stderr = openSync(journal, 'a')
    const child = start(command, args, ['ignore', 'pipe', stderr])
    closeSync(stderr)
    await once(child, 'spawn')
    return new Daemon(child, journal)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Throws, with the end of its journal, where it has ended. */
  assertAlive(): void {
    const { exitCode, signalCode, spawnargs } = this.#child
    if (exitCode === null && signalCode === null) return
    const journal = readFileSync(this.#journal, 'utf8').trim().split('\n').slice(-10).join('\n')
    throw new Error(`${spawnargs.join(' ')} ended with ${exitCode ?? signalCode}:\n${journal}`)
  }

  /** The first line that it prints. */
  async firstLine(): Promise<string> {
    const line = await Promise.race([this.#firstLine, this.#ended])
    if (Array.isArray(line)) return String(line[0])
    this.assertAlive()
    throw new Error('it printed nothing')
  }

  /** Its exit status, null where the signal ended it. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    this.#child.kill(signal)
    return this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL')
  }
}
