import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { PublicKey } from '../../protocol/ed25519-policy.ts'
import type { Receipt } from '../../protocol/receipt.ts'
import { runServer } from '../../server-stub/app.ts'
import { serverLimits, type ServerLimits } from '../../server-stub/config.ts'
import { runProgram } from '../../server-stub/cli/program.ts'
import type { Journal } from '../../server-stub/journal.ts'
import { openParts, type Parts } from '../../server-stub/parts.ts'
import { post, receiptIn, type Drone, type Sealed } from '../kit/drone.ts'

/** A process that does not outlive the test that started it, however that ends. */
export function endedWithTest(child: ChildProcess): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
}

export interface Ran {
  readonly status: number
  readonly out: Buffer
  readonly err: string
}

/** Runs a command in this process, as main.ts would. */
export async function run(...args: string[]): Promise<Ran> {
  const out: Uint8Array[] = []
  let err = ''
  const status = await runProgram(args, {
    env: {},
    print: async (facts) => void out.push(Buffer.from(facts as string)),
    tell: (text) => (err += text),
    columns: () => 100,
    untilStopped: () => new AbortController().signal,
  })
  return { status, out: Buffer.concat(out), err }
}

export async function json<T>(...args: string[]): Promise<T> {
  return JSON.parse((await run(...args, '--json')).out.toString('utf8')) as T
}

export interface FileFacts {
  readonly device: string
  readonly stream: string
  readonly path: string
  readonly pathBytes?: string
  readonly bytes: number
  readonly whole: boolean
  readonly missing: readonly (readonly [number, number])[]
  readonly lost: readonly { readonly from: number; readonly to: number | null; readonly reason: string }[]
  readonly closed: boolean
  readonly forks: number
}

/** The server that a test talks to, over real HTTP, on its own folder. */
export class TestServer implements AsyncDisposable {
  readonly data: string
  readonly url: string
  readonly key: PublicKey
  readonly facts: readonly string[]
  readonly #stop: () => Promise<void>

  private constructor(
    data: string,
    url: string,
    key: PublicKey,
    facts: readonly string[],
    stop: () => Promise<void>,
  ) {
    this.data = data
    this.url = url
    this.key = key
    this.facts = facts
    this.#stop = stop
  }

  static async start(
    data: string,
    change: (parts: Parts) => Partial<Parts> = () => ({}),
    limits: Partial<ServerLimits> = {},
  ): Promise<TestServer> {
    const opened = await openParts(data, () => undefined)
    const stopping = new AbortController()
    const facts: string[] = []
    const { promise: url, resolve, reject } = Promise.withResolvers<string>()
    const journal = recording(opened.journal, facts, resolve)
    const parts = { ...opened, ...change(opened), journal }
    const config = { data, host: '127.0.0.1', port: 0, limits: { ...serverLimits, ...limits } }
    const ended = runServer(config, parts, stopping.signal)
    ended.catch(reject)
    const stop = async (): Promise<void> => {
      stopping.abort()
      await ended
      await opened[Symbol.asyncDispose]()
    }
    return new TestServer(data, await url, opened.signer.publicKey, facts, stop)
  }

  async register(drone: Drone): Promise<void> {
    const { status, err } = await run(
      'device',
      'add',
      drone.device,
      '--key',
      drone.publicKey,
      '--data',
      this.data,
    )
    if (status !== 0) throw new Error(err)
  }

  /** Sends records and returns what the receipt says of each. */
  async send(drone: Drone, ...records: readonly (Sealed | Uint8Array)[]): Promise<string[]> {
    return (await this.receipt(drone, ...records)).entries.map((entry) =>
      entry.outcome === 'refused' ? entry.refusal : entry.outcome,
    )
  }

  async receipt(drone: Drone, ...records: readonly (Sealed | Uint8Array)[]): Promise<Receipt> {
    const bytes = records.map((record) => (record instanceof Uint8Array ? record : record.bytes))
    return receiptIn(await post(this.url, Buffer.concat(bytes)), this.key, drone.device)
  }

  async files(): Promise<FileFacts[]> {
    return json<FileFacts[]>('files', '--data', this.data)
  }

  async cat(device: string, file: string): Promise<Ran> {
    return run('cat', device, file, '--data', this.data)
  }

  async verify(): Promise<Ran> {
    return run('verify', '--data', this.data)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
  }
}

/** The same journal, with each fact's name written down in the order in which they were told. */
function recording(journal: Journal, facts: string[], listening: (url: string) => void): Journal {
  const told = Object.entries(journal).map(([name, tell]) => [
    name,
    (...args: unknown[]) => {
      facts.push(name)
      if (name === 'listening') listening(String(args[0]))
      ;(tell as (...args: unknown[]) => void)(...args)
    },
  ])
  return Object.fromEntries(told) as Journal
}
