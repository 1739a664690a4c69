import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Capture, type CaptureOptions } from '../../agent/capture/capture.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import type { SourceConfig } from '../../agent/source-config.ts'
import type { Clock } from '../../agent/clock.ts'
import { realWorld, type Files, type World } from '../../agent/world.ts'
import { logPathToBytes } from '../../protocol/log-path.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { fakeWorld, RecordingJournal, type BadDisk } from './fake-world.ts'
import { never, nextBatch, QueueKit } from './queue-kit.ts'

/** A source with everything that a test does not care about. */
export function sourceOf(paths: readonly string[], wanted: Partial<SourceConfig> = {}): SourceConfig {
  return {
    paths,
    exclude: ['*.gz'],
    format: 'text',
    tags: new Map(),
    priority: 'normal',
    startAt: 'beginning',
    ignoreOlderMs: undefined,
    closeAfterMs: 100,
    ...wanted,
  }
}

export interface Watch {
  readonly queue: Queue
  readonly told: RecordingJournal
  readonly capture: Capture
  /** Of the queue. */
  readonly disk: BadDisk
}

/** What one life of the agent has that is not as usual. */
export interface Life {
  readonly source?: Partial<SourceConfig>
  readonly options?: Partial<CaptureOptions>
  /** As `options.maxOpenFiles`, where it changes. */
  readonly mostOpenFiles?: () => number
  readonly files?: (files: Files) => Files
  readonly glob?: string
  readonly queueBytes?: number
  readonly clock?: Clock
  readonly releaseMemory?: () => void
}

/** What the server would hold of a stream: data applied in order, and what was said besides. */
export interface Stream {
  readonly path: string
  readonly text: string
  readonly losses: readonly (readonly [offset: number, length: number | null, reason: string])[]
  /** The length in each close record. */
  readonly closes: readonly number[]
  readonly records: readonly Manifest[]
}

/** Files of one folder, captured by a real watch on a real disk into a real queue. */
export class Ground implements AsyncDisposable {
  readonly kit: QueueKit
  readonly logs: string

  static async start(): Promise<Ground> {
    const kit = await QueueKit.start()
    return new Ground(kit, await kit.folder('logs'))
  }

  private constructor(kit: QueueKit, logs: string) {
    this.kit = kit
    this.logs = logs
  }

  path(name: string): string {
    return join(this.logs, name)
  }

  /** One life of the agent: captures while `life` goes on, then stops and queues what it read. */
  async watch(life: (watch: Watch) => Promise<void>, unusual: Life = {}): Promise<void> {
    const told = new RecordingJournal()
    const real = realWorld()
    const files = unusual.files?.(real.files) ?? real.files
    const clock = unusual.clock ?? real.clock
    const releaseMemory = unusual.releaseMemory ?? (() => undefined)
    const world: World = { ...real, files, clock, journal: told.journal, releaseMemory }
    const below = fakeWorld()
    await using queue = await this.kit.open({ ...below, clock: real.clock }, unusual.queueBytes)
    const stopping = new AbortController()
    const patience = new AbortController()
    const options = {
      sources: [sourceOf([this.path(unusual.glob ?? '*.log')], unusual.source)],
      chunks: { maxBytes: 4096, catchUpBytes: 4096, maxAgeMs: 20 },
      rescanMs: 50,
      get maxOpenFiles() {
        return unusual.mostOpenFiles?.() ?? 64
      },
      ...unusual.options,
    }
    const capture = new Capture(options, queue, world, patience.signal)
    const running = capture.run(stopping.signal)
    try {
      // A capture that fails ends the life at once.
      await Promise.race([life({ queue, told, capture, disk: below.disk }), running])
    } finally {
      stopping.abort()
      // What a small queue does not take by now is left.
      if (unusual.queueBytes !== undefined) patience.abort()
      await running
    }
  }

  /** What the queue holds, by stream. Throws where data does not continue what is there, or change it. */
  async streams(): Promise<Stream[]> {
    await using queue = await this.kit.open()
    const found = new Map<string, Manifest[]>()
    const contents = new Map<string, Buffer>()
    for (
      let batch = await nextBatch(queue, 1 << 20, 100);
      batch;
      batch = await nextBatch(queue, 1 << 20, 100)
    ) {
      for (const { manifest, content } of await this.kit.verified(batch)) {
        const { stream } = manifest
        found.set(stream, [...(found.get(stream) ?? []), manifest])
        if (manifest.kind === 'data')
          contents.set(stream, applied(contents.get(stream), manifest.offset, Buffer.from(content ?? [])))
      }
      await queue.forget(batch.entries)
    }
    const streams = [...found].map(([stream, records]) => this.#tell(records, contents.get(stream)))
    return streams.toSorted((a, b) => (a.text < b.text ? -1 : 1))
  }

  #tell(records: readonly Manifest[], content: Buffer = Buffer.alloc(0)): Stream {
    const path = Buffer.from(logPathToBytes(records[0]?.path ?? ''))
    return {
      path: path.toString().slice(this.logs.length + 1),
      text: content.toString('latin1'),
      losses: records.flatMap((record) =>
        record.kind === 'loss' ? [[record.offset, record.length, record.reason] as const] : [],
      ),
      closes: records.flatMap((record) => (record.kind === 'close' ? [record.length] : [])),
      records,
    }
  }

  /** Path and content of each stream. */
  async texts(): Promise<{ path: string; text: string }[]> {
    return (await this.streams()).map(({ path, text }) => ({ path, text }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kit[Symbol.asyncDispose]()
  }
}

function applied(before: Buffer = Buffer.alloc(0), offset: number, bytes: Buffer): Buffer {
  const grown = Buffer.alloc(Math.max(before.length, offset + bytes.length))
  before.copy(grown)
  bytes.copy(grown, offset)
  return grown
}

/** Resolves once so many bytes are in the queue. */
export async function queued({ queue }: Pick<Watch, 'queue'>, bytes: number): Promise<void> {
  await until(queue, () => queuedBytes(queue) >= bytes)
}

/** Resolves once no file has a turn, or waits for one. */
export async function resting({ capture }: Pick<Watch, 'capture'>): Promise<void> {
  while (capture.followed.some(({ turn }) => turn !== 'none')) await setImmediate()
}

export function queuedBytes({ ledger }: Queue): number {
  return ledger.queuedStreams.reduce((all, stream) => all + ledger.queuedBytes(stream), 0)
}

async function until(queue: Queue, holds: () => boolean): Promise<void> {
  const { clock } = realWorld()
  for (;;) {
    const seen = queue.changed.rings
    if (holds()) return
    await queue.changed.waitBeyond(seen, Infinity, clock, never)
  }
}
