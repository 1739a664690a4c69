import { showLogPath } from '../../protocol/log-path.ts'
import type { DeviceId } from '../../protocol/ids.ts'
import type { RecordRow, StreamRow } from '../../server-stub/catalog/catalog.ts'
import { auditKeys } from '../../server-stub/ingest/key-ring.ts'
import type { StoreParts } from '../../server-stub/parts.ts'
import { layOut, stretches, type Gap, type Stretch } from '../../server-stub/query/layout.ts'
import { loadRecord } from '../../server-stub/query/load-record.ts'
import { reportStream, type QueryParts } from '../../server-stub/query/stream-report.ts'

export interface Loss {
  readonly from: number
  /** null: nobody knows. */
  readonly to: number | null
  readonly reason: string
  /** The server had all of it before. */
  readonly isDelivered?: true | undefined
}

/** A generation of a file as the server has it, rebuilt from the stored records. */
export interface StoredStream {
  /** Where it began; below the logs' folder without that folder. */
  readonly path: string
  readonly stream: string
  /** What stood last in the file; zeros where a byte is missing or lost. */
  readonly bytes: Buffer
  /** Ranges that neither a byte nor a loss record covers: "from-to". */
  readonly missing: readonly string[]
  readonly losses: readonly Loss[]
  /** What closed it, if nothing came since. */
  readonly close: { readonly length: number; readonly sha256: string } | undefined
  /** What `files` says. */
  readonly whole: boolean
  /** Ranges that a record brought although each of their bytes was there already: "from-to". */
  readonly twice: readonly string[]
  /** The numbers of its data records, the later writes to the same range with them. */
  readonly seqs: readonly number[]
}

/** All that a server has of a device, by first record. */
export async function storedStreams(
  store: StoreParts,
  device: DeviceId,
  logs: string,
): Promise<StoredStream[]> {
  const keys = auditKeys(await store.catalog.devices())
  const rows = [...(await store.catalog.streams(device))].toSorted(
    (a, b) => a.firstEpoch - b.firstEpoch || a.firstSeq - b.firstSeq,
  )
  const streams: StoredStream[] = []
  for (const row of rows) streams.push(await storedStream(row, { ...store, keys }, logs))
  return streams
}

async function storedStream(row: StreamRow, parts: QueryParts, logs: string): Promise<StoredStream> {
  const records = await Array.fromAsync(parts.catalog.recordsOf(row.device, row.stream))
  const layout = await layOut(eachOf(records))
  const content = new Content(layout.end)
  for (const record of records) if (record.role === 'first') await content.apply(record, parts)
  const gaps = [...stretches(layout)].flatMap(gapsIn)
  const close = layout.sinceClose === 'nothing' ? layout.close : undefined
  const path = showLogPath(row.path)
  return {
    path: path.startsWith(`${logs}/`) ? path.slice(logs.length + 1) : path,
    stream: row.stream,
    bytes: content.bytes,
    missing: gaps.filter((gap) => !isLoss(gap)).map(showRange),
    losses: joined(gaps.filter(isLoss)),
    close: close?.sha256
      ? { length: close.length ?? 0, sha256: Buffer.from(close.sha256).toString('hex') }
      : undefined,
    whole: (await reportStream(row, parts)).whole,
    twice: content.twice,
    seqs: content.seqs,
  }
}

function gapsIn(stretch: Stretch): readonly Gap[] {
  if (stretch.is === 'gap') return [stretch.gap]
  return stretch.outdated ? [stretch.outdated] : []
}

/** Also where older bytes are there. */
const isLoss = ({ why }: Gap): boolean => why === 'lost' || why === 'outdated'

/** Records applied in the order of the chain, like a log of writes. */
class Content {
  readonly bytes: Buffer
  readonly twice: string[] = []
  readonly seqs: number[] = []
  readonly #isHere: Uint8Array

  constructor(length: number) {
    this.bytes = Buffer.alloc(length)
    this.#isHere = new Uint8Array(length)
  }

  async apply(record: RecordRow, parts: QueryParts): Promise<void> {
    const { offset, length } = record
    if (record.kind === 'close' || length === null) return
    const end = offset + length
    const isData = record.kind === 'data' && record.hasBody
    const bytes = isData ? await contentOf(record, parts) : Buffer.alloc(length)
    if (isData) this.seqs.push(record.seq)
    if (isData && this.#has(offset, bytes)) this.twice.push(`${offset}-${end}`)
    this.bytes.set(bytes, offset)
    this.#isHere.fill(isData ? 1 : 0, offset, end)
  }

  #has(offset: number, bytes: Uint8Array): boolean {
    const end = offset + bytes.length
    return !this.#isHere.subarray(offset, end).includes(0) && this.bytes.subarray(offset, end).equals(bytes)
  }
}

async function contentOf(record: RecordRow, parts: QueryParts): Promise<Uint8Array> {
  const loaded = await loadRecord(record, parts)
  if (!loaded.ok || !loaded.record.content) throw new Error(loaded.ok ? 'a record without body' : loaded.why)
  return loaded.record.content
}

async function* eachOf(records: readonly RecordRow[]): AsyncGenerator<RecordRow> {
  yield* records
}

const showRange = ({ from, to }: Gap): string => `${from}-${to ?? ''}`

/** Losses that touch and have one reason are one. */
function joined(gaps: readonly Gap[]): Loss[] {
  const losses: Loss[] = []
  for (const { from, to, detail: reason, why } of gaps) {
    const last = losses.at(-1)
    const isAdjoining = last !== undefined && last.to === from && last.reason === reason
    const wasDelivered = why === 'outdated' && (!isAdjoining || last.isDelivered)
    const isDelivered = wasDelivered ? true : undefined
    if (isAdjoining) losses.splice(-1, 1, { ...last, to, isDelivered })
    else losses.push({ from, to, reason, isDelivered })
  }
  return losses
}
