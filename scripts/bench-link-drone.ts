/** A drone, its server and the link between them, for one row of the link benchmark. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { appendFile, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fetchStatus, requestFlush } from '../agent/control/control-client.ts'
import type { StatusReport } from '../agent/control/report.ts'
import { parseDeviceId } from '../protocol/ids.ts'
import type { RecordRow } from '../server-stub/catalog/catalog.ts'
import { openStore } from '../server-stub/parts.ts'
import { openLossyLink, type LossyLink } from '../test/kit/lossy-link.ts'
import { writeLog } from './bench-log.ts'
import { equip, root, run, serve, type Program, type Serving } from './bench-programs.ts'
import { failuresIn } from './bench-link-judge.ts'
import type { Row } from './bench-link-rows.ts'

const deviceName = 'bench'
/** What a chunk of log lines shrinks to, about. */
const linesRatio = 7

/** What the server ends up with. */
export interface Outcome {
  /** Of all records stored. */
  readonly recordBytes: number
  readonly records: number
  /** What breaks the promise, a line each. */
  readonly wrong: readonly string[]
}

export class BenchDrone implements AsyncDisposable {
  readonly link: LossyLink
  readonly highLog: string
  readonly #home: string
  readonly #data: string
  readonly #row: Row
  readonly #program: Program
  readonly #disposal: AsyncDisposableStack
  #agent: ChildProcess | undefined
  #highBytes = 0

  /** The server is up and knows the drone; the link refuses; the agent is not started. */
  static async open(folder: string, row: Row, program: Program): Promise<BenchDrone> {
    await using disposal = new AsyncDisposableStack()
    const data = join(folder, 'server')
    const serving = await serve(data, 0)
    disposal.defer(() => serving.stop())
    const link = disposal.use(await openLossyLink({ port: Number(new URL(serving.url).port) }))
    link.refuse()
    const seen: Serving = { ...serving, url: `http://127.0.0.1:${link.port}` }
    const home = await equip(folder, deviceName, program, seen, data)
    return new BenchDrone({ home, data, row, program }, link, disposal.move())
  }

  private constructor(
    { home, data, row, program }: { home: string; data: string; row: Row; program: Program },
    link: LossyLink,
    disposal: AsyncDisposableStack,
  ) {
    this.link = link
    this.highLog = join(home, 'logs/high.log')
    this.#home = home
    this.#data = data
    this.#row = row
    this.#program = program
    this.#disposal = disposal
    disposal.defer(() => this.#stop())
  }

  /** Writes the logs and has all of them in the queue. Says why not where the agent does not start. */
  async fill(): Promise<string | undefined> {
    const { content, recordBytes, wanted } = this.#row
    const bulk = join(this.#home, content === 'lines' ? 'logs/bulk.log' : 'logs/bulk.bin')
    if (content === 'lines') await writeLog(bulk, recordBytes * linesRatio, 1)
    else await writeNoise(bulk, recordBytes)
    // It is known when its first line is written: that takes a link's time, not a look for new files.
    await writeFile(this.highLog, '')
    await this.#configure(bulk, wanted.highMs !== undefined)
    this.#start()
    for (;;) {
      const report = await this.status().catch(() => undefined)
      if (report && report.totals.size > 0 && report.totals.queuedBytes === report.totals.size)
        return undefined
      if (this.#agent?.exitCode !== null) return this.journal.split('\n', 1)[0] ?? 'the agent ended'
      await sleep(50)
    }
  }

  async #configure(bulk: string, hasLanes: boolean): Promise<void> {
    const file = join(this.#home, 'agent.yaml')
    const config = JSON.parse(await readFile(file, 'utf8')) as object
    const lane = (priority: string): object => (hasLanes ? { priority } : {})
    const low = { paths: [bulk], ...lane('low') }
    const sources = hasLanes ? [low, { paths: [this.highLog], ...lane('high') }] : [low]
    await writeFile(file, JSON.stringify({ ...config, sources, ...this.#row.settings }))
  }

  #start(): void {
    const [command, ...before] = this.#program
    const journal = openSync(this.#journalFile, 'w')
    const args = [...before, 'run', '--config', join(this.#home, 'agent.yaml')]
    this.#agent = spawn(command, args, { stdio: ['ignore', 'ignore', journal] })
    closeSync(journal)
  }

  get #journalFile(): string {
    return join(this.#home, 'journal')
  }

  get journal(): string {
    return readFileSync(this.#journalFile, 'utf8')
  }

  /** Why requests came to nothing since the link was there, each. */
  failuresSince(journalLength: number): string[] {
    return failuresIn(this.journal.slice(journalLength))
  }

  status(): Promise<StatusReport> {
    return fetchStatus(this.#socket)
  }

  get #socket(): string {
    return join(this.#home, 'agent.sock')
  }

  /** The link is there: what a pause between attempts would still take is spared. */
  async hurry(): Promise<void> {
    for await (const _report of requestFlush(this.#socket, 0));
  }

  /** Milliseconds from a new line in the file of high priority to its receipt; Infinity where none came in a minute. */
  async lineMs(text: string): Promise<number> {
    const startMs = performance.now()
    await appendFile(this.highLog, text)
    this.#highBytes += Buffer.byteLength(text)
    while (performance.now() - startMs < 60_000) {
      const { files } = await this.status()
      const high = files.find(({ path }) => path === this.highLog)
      if (high && high.receiptedBytes >= this.#highBytes) return performance.now() - startMs
      await sleep(10)
    }
    return Infinity
  }

  /** Everything is delivered over a link that is good again. */
  async land(timeoutMs: number): Promise<Outcome> {
    this.link.restore()
    this.link.change({})
    let isDone = false
    for await (const report of requestFlush(this.#socket, timeoutMs)) isDone = report.done
    const { totals } = await this.status()
    await this.#stop()
    const wrong = isDone ? [] : ['not everything has a receipt']
    wrong.push(...(await this.#verify()))
    return this.#compare(totals.size, wrong)
  }

  async #verify(): Promise<string[]> {
    const main = join(root, 'server-stub/main.ts')
    const verifying = run(process.execPath, [main, 'verify', '--data', this.#data])
    return verifying.then(
      () => [],
      (error: { readonly stdout?: string }) => [`verify: ${error.stdout ?? 'did not run'}`],
    )
  }

  async #compare(logBytes: number, wrong: readonly string[]): Promise<Outcome> {
    await using store = await openStore(this.#data)
    const device = parseDeviceId(deviceName)
    const rows: RecordRow[] = []
    if (device) for await (const row of store.catalog.recordsOf(device)) rows.push(row)
    const data = rows.filter(({ kind }) => kind === 'data')
    const stored = data.reduce((sum, { length }) => sum + (length ?? 0), 0)
    const recordBytes = rows.reduce((sum, { at }) => sum + at.bytes, 0)
    const isOnce = new Set(data.map(({ stream, offset }) => `${stream} ${offset}`)).size === data.length
    const found = [
      ...(stored === logBytes ? [] : [`records of ${stored} bytes for logs of ${logBytes}`]),
      ...(isOnce ? [] : ['a range of a log is stored twice']),
    ]
    return { recordBytes, records: rows.length, wrong: [...wrong, ...found] }
  }

  async #stop(): Promise<void> {
    const agent = this.#agent
    this.#agent = undefined
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return
    agent.kill('SIGTERM')
    await once(agent, 'exit')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync()
  }
}

/** Bytes that cannot be compressed, the same every time. */
async function writeNoise(path: string, bytes: number): Promise<void> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16))
  const zeros = Buffer.alloc(1024 * 1024)
  await using file = await open(path, 'w')
  for (let written = 0; written < bytes; written += zeros.length) await file.write(cipher.update(zeros))
}
