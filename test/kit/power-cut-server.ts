import type { Answer } from '../../agent/deliver/link.ts'
import { mediaTypes } from '../../protocol/contract.ts'
import type { Signer } from '../../protocol/ed25519-policy.ts'
import type { DeviceId, StreamId } from '../../protocol/ids.ts'
import type { VerifiedRecord } from '../../protocol/verify.ts'
import { SqliteCatalog } from '../../server-stub/catalog/sqlite-catalog.ts'
import type { Clock } from '../../server-stub/clock.ts'
import type { IngestParts } from '../../server-stub/ingest/batch.ts'
import { ingest } from '../../server-stub/ingest/ingest.ts'
import { auditKeys } from '../../server-stub/ingest/key-ring.ts'
import type { Visit } from '../../server-stub/ingest/running.ts'
import { Settler } from '../../server-stub/ingest/settle.ts'
import type { Journal } from '../../server-stub/journal.ts'
import { Audit } from '../../server-stub/query/audit.ts'
import { loadRecord } from '../../server-stub/query/load-record.ts'
import { MemoryStore } from '../server-stub/memory-store.ts'
import { makeSigner } from './drone.ts'

const clock: Clock = { now: () => 1_790_000_000_000, monotonicMs: () => 0, sleep: async () => undefined }
const journal = new Proxy({} as Journal, { get: () => () => undefined })

const visit: Visit = { takeSlot: () => 'taken', holding: () => true, receiving: (pieces) => pieces }
let catalogs = 0

/** The server without its HTTP side, in memory: it never loses power. */
export class MemoryServer implements AsyncDisposable {
  readonly signer = makeSigner()
  readonly #parts: IngestParts
  readonly #device: DeviceId

  static async start(device: DeviceId, key: Signer['publicKey']): Promise<MemoryServer> {
    const catalog = SqliteCatalog.open(`file:power-cut-${++catalogs}?mode=memory&cache=shared`, clock)
    await catalog.addDevice(device, key, clock.now())
    return new MemoryServer(device, catalog)
  }

  private constructor(device: DeviceId, catalog: SqliteCatalog) {
    const parts = { clock, store: new MemoryStore(), catalog, journal }
    this.#parts = { ...parts, signer: this.signer, settler: new Settler(parts), settleMs: 0 }
    this.#device = device
  }

  async answer(batch: Uint8Array): Promise<Answer> {
    const answer = await ingest(onePiece(batch), this.#parts, visit)
    if (answer.is === 'problem') throw new Error(`the server answers ${answer.code}`)
    return {
      is: 'answered',
      status: 200,
      mediaType: mediaTypes.receipt,
      body: answer.bytes,
      retryAfterMs: undefined,
    }
  }

  /** What `verify` finds wrong, a line each. */
  async findings(): Promise<string[]> {
    const findings: string[] = []
    for await (const { code, detail } of new Audit(this.#parts).findings())
      findings.push(`${code}: ${detail}`)
    return findings
  }

  /** Every record in the order of the chain, verified anew; with `stream`, only its. */
  async *records(stream?: StreamId): AsyncGenerator<VerifiedRecord> {
    const keys = auditKeys(await this.#parts.catalog.devices())
    for await (const row of this.#parts.catalog.recordsOf(this.#device, stream)) {
      const loaded = await loadRecord(row, { store: this.#parts.store, keys })
      if (!loaded.ok) throw new Error(loaded.why)
      yield loaded.record
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.catalog[Symbol.asyncDispose]()
  }
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
