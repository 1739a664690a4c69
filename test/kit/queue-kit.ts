import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Queue } from '../../agent/queue/queue.ts'
import type { DataArrival } from '../../agent/queue/arrival.ts'
import type { Batch } from '../../agent/queue/batch.ts'
import type { QueueOptions } from '../../agent/queue/open-queue.ts'
import type { ResumePoint } from '../../agent/queue/resume-point.ts'
import { encodeBody } from '../../protocol/body.ts'
import { continues, newChain } from '../../protocol/chain.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import type { ByteOffset, Digest } from '../../protocol/ids.ts'
import { headAfter } from '../../protocol/chain.ts'
import { readRecords } from '../../protocol/record.ts'
import { accept } from '../../protocol/refusal.ts'
import { verifyRecord, type VerifiedRecord } from '../../protocol/verify.ts'
import { makeSigner, labelOf } from './drone.ts'
import type { World } from '../../agent/world.ts'
import { fakeWorld } from './fake-world.ts'
import { tempFolder } from './temp-folder.ts'

export const never = new AbortController().signal
const device = 'hexa-7'

/** What `drain` gives for a record without a body. */
export const withheld = '(withheld)'

type NextChunk = Omit<DataArrival, 'resume'> & { readonly resume: ResumePoint }

/** A state folder, a key, and whatever queues a test opens there. */
export class QueueKit implements AsyncDisposable {
  readonly signer = makeSigner()
  readonly state: string
  readonly #disposal: AsyncDisposableStack
  #offset = 0
  readonly label: StreamLabel = labelOf('/var/log/flight/autopilot.log')

  static async start(): Promise<QueueKit> {
    await using disposal = new AsyncDisposableStack()
    const { path } = disposal.use(await tempFolder())
    return new QueueKit(path, disposal.move())
  }

  private constructor(folder: string, disposal: AsyncDisposableStack) {
    this.state = join(folder, 'state')
    this.#disposal = disposal
  }

  open(world: World = fakeWorld(), maxBytes = 1 << 30, state = this.state): Promise<Queue> {
    return this.openWith({ maxBytes, stateDirectory: state }, world)
  }

  openWith(options: Partial<QueueOptions>, world: World = fakeWorld()): Promise<Queue> {
    const usual = { device: device as never, stateDirectory: this.state, maxBytes: 1 << 30 }
    return Queue.open({ ...usual, ...options }, this.signer, world)
  }

  /** The next chunk of the stream. */
  async arrival(content: Uint8Array | string, label: StreamLabel = this.label): Promise<NextChunk> {
    const bytes = Buffer.from(content)
    const offset = this.#offset
    this.#offset += bytes.length
    const position = this.#offset as ByteOffset
    const identity = { device: '1', inode: '2', birthNs: '3' }
    const resume = { stream: label.stream, path: label.path, identity, position, evidence: [] }
    const body = await encodeBody(bytes)
    return { kind: 'data', lane: 'normal', label, offset: offset as ByteOffset, body, resume }
  }

  async append(queue: Queue, content: Uint8Array | string, signal: AbortSignal = never): Promise<boolean> {
    return queue.append(await this.arrival(content), signal)
  }

  /** The records of a batch, each of which must verify under the drone's key. */
  async verified({ bytes }: Batch): Promise<VerifiedRecord[]> {
    const records: VerifiedRecord[] = []
    for await (const frame of readRecords(piecesOf(bytes))) {
      const verdict = verifyRecord(frame, () => accept(this.signer.publicKey))
      if (!verdict.ok) throw new Error(`the queue gave out a record that is ${verdict.refusal}`)
      records.push(verdict.value)
    }
    return records
  }

  /** Takes everything out, as by receipts, and gives the texts. Throws where the chain breaks. */
  async drain(queue: Queue, maxBytes = 1 << 20): Promise<string[]> {
    const texts: string[] = []
    let head: { readonly epoch: number; readonly next: number; readonly last: Digest } | undefined
    for (
      let batch = await nextBatch(queue, maxBytes, 4096);
      batch;
      batch = await nextBatch(queue, maxBytes, 4096)
    ) {
      for (const { manifest, content, digest } of await this.verified(batch)) {
        if (head && head.epoch === manifest.epoch && manifest.seq === head.next) {
          const chain = newChain(manifest.device, manifest.epoch)
          const before = { ...chain, next: head.next as never, last: head.last }
          if (!continues(before, manifest)) throw new Error(`the chain breaks at ${manifest.seq}`)
        }
        head = headAfter({ ...newChain(manifest.device, manifest.epoch), next: manifest.seq }, digest)
        texts.push(content ? Buffer.from(content).toString() : withheld)
      }
      const [received, withoutBody] = [false, true].map((isWithheld) =>
        batch.entries.filter((entry) => entry.isWithheld === isWithheld),
      )
      await queue.forget(received ?? [], withoutBody)
    }
    return texts
  }

  get segmentFolder(): string {
    return join(this.state, 'segments')
  }

  async segments(): Promise<string[]> {
    const names = await readdir(this.segmentFolder)
    return names.toSorted().map((name) => join(this.segmentFolder, name))
  }

  async segmentBytes(): Promise<number> {
    const sizes = await Promise.all((await this.segments()).map(async (path) => (await stat(path)).size))
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  /** An empty folder beside the state. */
  async folder(name: string): Promise<string> {
    const path = join(this.state, '..', name)
    await mkdir(path, { recursive: true })
    return path
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync()
  }
}

/** What would be handed out next, given back at once: its bytes are valid until something else is handed out. */
export async function nextBatch(
  queue: Queue,
  maxBytes: number,
  maxRecords: number,
): Promise<Batch | undefined> {
  const batch = await queue.take(maxBytes, maxRecords)
  if (batch) queue.giveBack(batch)
  return batch
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
