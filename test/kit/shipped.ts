import type { IndexEntry } from '../../agent/queue/index-entry.ts'
import type { Queue } from '../../agent/queue/queue.ts'
import { encodeBody } from '../../protocol/body.ts'
import { sha256, type ByteOffset } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { never, nextBatch, type QueueKit } from './queue-kit.ts'

export interface Write {
  readonly offset: number
  readonly text: string
}

interface Told {
  readonly manifest: Manifest
  readonly text: string
}

export const fileBytes = 24

/** A queue, and beside it a server that keeps what it is given in the order of the chain. */
export class Shipped {
  readonly kit: QueueKit
  readonly queue: Queue
  readonly #stored: Told[] = []

  constructor(kit: QueueKit, queue: Queue) {
    this.kit = kit
    this.queue = queue
  }

  async write({ offset, text }: Write): Promise<IndexEntry> {
    const held = {
      kind: 'data',
      offset: offset as ByteOffset,
      body: await encodeBody(Buffer.from(text)),
    } as const
    await this.queue.append({ ...held, label: this.kit.label, lane: 'normal', resume: 'stays' }, never)
    return this.newest()
  }

  async lose(offset: number, length: number): Promise<IndexEntry> {
    const held = { kind: 'loss', offset: offset as ByteOffset, length, reason: 'unreadable' } as const
    await this.queue.append({ ...held, label: this.kit.label, lane: 'normal', resume: 'stays' }, never)
    return this.newest()
  }

  async close(text: string): Promise<IndexEntry> {
    const held = { kind: 'close', length: text.length, sha256: sha256(Buffer.from(text)) } as const
    await this.queue.append({ ...held, label: this.kit.label, lane: 'normal', resume: 'stays' }, never)
    return this.newest()
  }

  async newest(): Promise<IndexEntry> {
    const last = (await nextBatch(this.queue, 1 << 20, 1000))?.entries.at(-1)
    if (!last) throw new Error('one waits')
    return last
  }

  /** The server takes these. */
  async store(of: (entry: IndexEntry) => boolean = () => true): Promise<void> {
    const batch = await nextBatch(this.queue, 1 << 20, 1000)
    if (!batch) return
    for (const [index, { manifest, content }] of (await this.kit.verified(batch)).entries()) {
      const entry = batch.entries[index]
      if (entry && of(entry)) this.#stored.push({ manifest, text: Buffer.from(content ?? []).toString() })
    }
    await this.queue.forget(batch.entries.filter(of))
  }

  /** What it has, in the order of the chain: where each stands, and its text, or its kind where it has none. */
  get told(): readonly (readonly [number, string])[] {
    return this.#inOrder.map(({ manifest, text }) => [
      manifest.kind === 'close' ? manifest.length : manifest.offset,
      manifest.kind === 'data' ? text : `${manifest.kind} ${manifest.length}`,
    ])
  }

  get content(): string {
    const content = Buffer.alloc(fileBytes, '.')
    for (const { manifest, text } of this.#inOrder)
      if (manifest.kind === 'data') content.write(text, manifest.offset)
    return content.toString()
  }

  get #inOrder(): Told[] {
    return this.#stored.toSorted(
      ({ manifest: one }, { manifest: other }) => one.epoch - other.epoch || one.seq - other.seq,
    )
  }
}
