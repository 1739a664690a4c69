import { createHash } from 'node:crypto'
import type { Digest } from '../../protocol/ids.ts'
import type { RecordRow } from '../catalog/catalog.ts'

/**
 * What is remembered of a content that was read: a hash over the content's own and over the rows that it was read by, so
 * that it fits nothing else. It spares `files` to read again; whoever writes to the catalog can forge it, so `verify` and
 * `cat` do not look at it.
 */
export class ContentProof {
  readonly #rows = createHash('sha256')

  /** Passes on the records of a stream, in their order. */
  async *noting(records: AsyncIterable<RecordRow>): AsyncGenerator<RecordRow, void, undefined> {
    for await (const row of records) {
      this.#rows.update(`${JSON.stringify(row, asText)}\n`)
      yield row
    }
  }

  /** Once all records were passed on. */
  of(content: Digest): Digest {
    const proof = createHash('sha256').update(this.#rows.copy().digest()).update(content)
    return proof.digest() as Uint8Array as Digest
  }
}

function asText(_name: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : value
}
