import type { StreamId } from '../../protocol/ids.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { IndexStore } from './index-store.ts'
import { namedRanges } from './shipped.ts'

/**
 * How long the ranges of a stream's data records are at most. So whoever wants those that hold bytes behind an offset need not
 * look at all that begin before it. It is found out for those streams of which somebody asks.
 */
export class LongestRanges {
  readonly #bytes = new Map<StreamId, number>()

  /** To be called while no record is being stored. */
  async of(index: IndexStore, stream: StreamId): Promise<number> {
    const known = this.#bytes.get(stream)
    if (known !== undefined) return known
    let longest = 0
    for await (const { length, sha256 } of namedRanges(index, stream))
      if (sha256) longest = Math.max(longest, length)
    this.#bytes.set(stream, longest)
    return longest
  }

  /** The index has one more. */
  note(manifest: Manifest): void {
    const known = this.#bytes.get(manifest.stream)
    if (known === undefined || manifest.kind !== 'data') return
    this.#bytes.set(manifest.stream, Math.max(known, manifest.length))
  }
}
