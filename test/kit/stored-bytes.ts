import type { StreamRow } from '../../server-stub/catalog/catalog.ts'
import { auditKeys } from '../../server-stub/ingest/key-ring.ts'
import type { StoreParts } from '../../server-stub/parts.ts'
import { layOut } from '../../server-stub/query/layout.ts'
import { readStream } from '../../server-stub/query/read-stream.ts'

/** What a server has of a stream. */
export interface Stored {
  readonly bytes: Uint8Array
  /** Of all data records together. */
  readonly lengths: number
  /** Ranges that a record brings although another one did before. */
  readonly twice: readonly string[]
}

/** The bytes that the server would give back, each record verified anew, and what it has of them more than once. */
export async function storedBytes(stream: StreamRow, store: StoreParts): Promise<Stored> {
  const keys = auditKeys(await store.catalog.devices())
  const layout = await layOut(store.catalog.recordsOf(stream.device, stream.stream))
  const pieces: Uint8Array[] = []
  for await (const piece of readStream(layout, { ...store, keys })) {
    pieces.push(piece.is === 'bytes' ? piece.bytes : Buffer.from(`<${JSON.stringify(piece.gap)}>`))
  }
  const ranges: (readonly [number, number])[] = []
  for await (const row of store.catalog.recordsOf(stream.device, stream.stream)) {
    if (row.kind === 'data') ranges.push([row.offset, row.offset + (row.length ?? 0)])
  }
  const sorted = ranges.toSorted(([a], [b]) => a - b)
  const twice = sorted.filter(([from], index) => from < (sorted[index - 1]?.[1] ?? 0)).map(String)
  const lengths = ranges.reduce((sum, [from, to]) => sum + to - from, 0)
  return { bytes: Buffer.concat(pieces), lengths, twice }
}
