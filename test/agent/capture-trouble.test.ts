import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Capture } from '../../agent/capture/capture.ts'
import { flush } from '../../agent/control/flush.ts'
import type { FlushReport } from '../../agent/control/report.ts'
import type { Running } from '../../agent/control/tell-status.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { realWorld, type OpenFile, type World } from '../../agent/world.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import { sourceOf } from '../kit/capture-ground.ts'
import { changedFile } from '../kit/changed-file.ts'
import { fakeWorld, RecordingJournal, type BadDisk } from '../kit/fake-world.ts'
import { never, nextBatch, QueueKit } from '../kit/queue-kit.ts'

const { clock } = realWorld()

/** Says of each read of a file, by its name, what comes before it: an error, a wait, or nothing. */
type BeforeRead = (name: string, into: Uint8Array) => Promise<void>

const readError = (code = 'ENODEV'): Error => Object.assign(new Error(`${code}: injected, read`), { code })

/** One life of an agent over files whose reads a test can fail: capture and queue are real, delivery is the test's. */
class Ground implements AsyncDisposable {
  readonly kit: QueueKit
  readonly logs: string
  readonly queue: Queue
  readonly disk: BadDisk
  readonly told = new RecordingJournal()
  readonly capture: Capture
  readonly world: World
  beforeRead: BeforeRead = async () => undefined
  readonly #stopping = new AbortController()
  readonly #disposal: AsyncDisposableStack
  #running: Promise<void> = Promise.resolve()

  static async start(maxAgeMs = 20): Promise<Ground> {
    await using disposal = new AsyncDisposableStack()
    const kit = disposal.use(await QueueKit.start())
    const below = fakeWorld()
    const queue = disposal.use(await kit.open({ ...below, clock }))
    return new Ground(kit, await kit.folder('logs'), queue, below.disk, maxAgeMs, disposal.move())
  }

  private constructor(
    kit: QueueKit,
    logs: string,
    queue: Queue,
    disk: BadDisk,
    maxAgeMs: number,
    disposal: AsyncDisposableStack,
  ) {
    this.kit = kit
    this.logs = logs
    this.queue = queue
    this.disk = disk
    this.#disposal = disposal
    const real = realWorld()
    const openToRead = async (path: string | Uint8Array): Promise<OpenFile> =>
      this.#moody(await real.files.openToRead(path), Buffer.from(path).toString().split('/').at(-1) ?? '')
    this.world = { ...real, files: { ...real.files, openToRead }, journal: this.told.journal }
    const options = {
      sources: [sourceOf([join(logs, '*.log')])],
      chunks: { maxBytes: 4096, catchUpBytes: 4096, maxAgeMs },
      rescanMs: 20,
      maxOpenFiles: 64,
    }
    this.capture = new Capture(options, queue, this.world, never)
  }

  #moody(file: OpenFile, name: string): OpenFile {
    return changedFile(file, {
      read: async (into, position) => {
        await this.beforeRead(name, into)
        return file.read(into, position)
      },
    })
  }

  run(): void {
    this.#running = this.capture.run(this.#stopping.signal)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  path(name: string): string {
    return join(this.logs, name)
  }

  /** `flush`, as the control socket asks for it. */
  flush(timeoutMs: number): AsyncGenerator<FlushReport, void, undefined> {
    const { capture, queue } = this
    const delivery = { hurry: () => undefined, report: { is: 'idle' } } as unknown as Running['delivery']
    return flush({ capture, queue, delivery, version: '', server: '' }, this.world, timeoutMs, never)
  }

  /** Gives receipts for whatever is queued. */
  async deliver(): Promise<void> {
    const batch = await nextBatch(this.queue, 1 << 20, 100)
    if (batch && batch.entries.length > 0) await this.queue.forget(batch.entries)
  }

  get queuedBytes(): number {
    const { ledger } = this.queue
    return ledger.queuedStreams.reduce((sum, stream) => sum + ledger.queuedBytes(stream), 0)
  }

  /** What the queue holds, by file. Throws where a byte is missing, or comes twice. */
  async queued(): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    const batch = await nextBatch(this.queue, 1 << 20, 1000)
    for (const { manifest, content } of batch ? await this.kit.verified(batch) : []) {
      if (manifest.kind !== 'data') continue
      const name = Buffer.from(logPathToBytes(manifest.path))
        .toString()
        .slice(this.logs.length + 1)
      const before = found.get(name) ?? ''
      if (manifest.offset !== before.length) throw new Error(`${name}: ${manifest.offset} is not next`)
      found.set(name, before + Buffer.from(content ?? []).toString())
    }
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#disposal.disposeAsync()
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await clock.sleep(5, never)
}

describe('a file that cannot be read', () => {
  test('uses up no buffer, however often it fails; then it and the others are captured, each byte once', async () => {
    await using ground = await Ground.start()
    let failures = 0
    let isBad = true
    ground.beforeRead = async (name) => {
      if (!isBad || name !== 'bad.log') return
      failures++
      throw readError()
    }
    await writeFile(ground.path('bad.log'), 'x'.repeat(100))
    ground.run()
    await until(() => failures >= 10)
    await writeFile(ground.path('good.log'), 'hello\n'.repeat(10))
    await until(() => ground.queuedBytes >= 60)
    isBad = false
    await until(() => ground.queuedBytes >= 160 && ground.capture.troubles.size === 0)
    expect(await ground.queued()).toEqual(
      new Map([
        ['bad.log', 'x'.repeat(100)],
        ['good.log', 'hello\n'.repeat(10)],
      ]),
    )
  })

  test('while a chunk of it waits for a disk that is full ships that chunk once', async () => {
    await using ground = await Ground.start()
    ground.disk.failing.set('write', 'ENOSPC')
    await writeFile(ground.path('a.log'), 'line one\n')
    ground.run()
    await until(() => ground.disk.failures > 0)
    let failures = 0
    ground.beforeRead = async (_, into) => {
      if (into.length <= 1024 || failures > 0) return
      failures++
      throw readError()
    }
    await appendFile(ground.path('a.log'), 'line two\n')
    await until(() => failures > 0)
    // Any of them might follow the file anew.
    for (let looks = 0; looks < 5; looks++) await ground.capture.look()
    ground.disk.failing.clear()
    await until(() => ground.queuedBytes >= 18)
    expect(await ground.queued()).toEqual(new Map([['a.log', 'line one\nline two\n']]))
  })
})

describe('flush', () => {
  test('after a read error is not done before what it could not read has its receipt', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'start\n')
    ground.run()
    await until(() => ground.queuedBytes === 6)
    await ground.deliver()
    const failing = Promise.withResolvers<void>()
    const readable = Promise.withResolvers<void>()
    let reads = 0
    ground.beforeRead = async (_, into) => {
      if (into.length <= 1024) return
      reads++
      if (reads > 1) return readable.promise
      await failing.promise
      throw readError()
    }
    await appendFile(ground.path('a.log'), 'IMPORTANT\n'.repeat(1000))
    await until(() => reads === 1)
    const reports = ground.flush(120_000)
    const target = 10_006
    expect((await reports.next()).value).toMatchObject({ done: false, targetBytes: target })
    failing.resolve()
    await until(() => reads === 2)
    // It is read anew, the queue is empty, and the bytes are still in the file.
    for (let count = 0; count < 3; count++)
      expect((await reports.next()).value).toMatchObject({ done: false, unreadBytes: 10_000 })
    readable.resolve()
    let last: FlushReport | undefined
    for await (const report of reports) {
      last = report
      await ground.deliver()
    }
    expect(last).toMatchObject({ done: true, receiptedBytes: target, unreadBytes: 0 })
  })

  test('while the agent is winding down is not done: nobody reads any more', async () => {
    await using ground = await Ground.start()
    await writeFile(ground.path('a.log'), 'start\n')
    ground.run()
    await until(() => ground.queuedBytes === 6)
    await ground.stop()
    await ground.deliver()
    await appendFile(ground.path('a.log'), 'after the stop\n')
    const reports: FlushReport[] = []
    for await (const report of ground.flush(300)) reports.push(report)
    expect(reports.map(({ done }) => done)).not.toContain(true)
  })
})

test('a capture that is told to stop before it began ends', async () => {
  await using ground = await Ground.start()
  await expect(ground.capture.run(AbortSignal.abort())).resolves.toBeUndefined()
})
