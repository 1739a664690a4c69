import { createHash } from 'node:crypto'
import { equalBytes } from '../../protocol/ids.ts'
import type { Recalled } from '../deliver/recall.ts'
import type { ShippedRange } from '../queue/shipped.ts'
import type { OpenFile } from '../world.ts'

const pieceBytes = 64 * 1024

/** The longest of these generations whose ranges on the server stand in the file. */
export async function recogniseRecalled(
  generations: readonly Recalled[],
  file: OpenFile,
  size: number,
): Promise<Recalled | undefined> {
  const hashes = new RangeHashes(file)
  const possible = generations.filter(({ position }) => position <= size)
  for (const generation of possible.toSorted((a, b) => b.position - a.position))
    if (await hashes.hold(generation.evidence)) return generation
  return undefined
}

/** Hashes of ranges of one file. Many generations begin with a range of the same place: it is read once. */
export class RangeHashes {
  readonly #file: OpenFile
  readonly #known = new Map<string, Uint8Array>()

  constructor(file: OpenFile) {
    this.#file = file
  }

  async hold(ranges: readonly ShippedRange[]): Promise<boolean> {
    for (const { offset, length, sha256 } of ranges)
      if (!equalBytes(await this.#hashOf(offset, length), sha256)) return false
    return true
  }

  async #hashOf(offset: number, length: number): Promise<Uint8Array> {
    const key = `${offset} ${length}`
    const hash = this.#known.get(key) ?? (await this.#hash(offset, length))
    this.#known.set(key, hash)
    return hash
  }

  /** In pieces: a range may be as long as the longest chunk. */
  async #hash(offset: number, length: number): Promise<Uint8Array> {
    const hash = createHash('sha256')
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, length))
    for (let done = 0; done < length;) {
      const count = await this.#file.read(
        piece.subarray(0, Math.min(piece.length, length - done)),
        offset + done,
      )
      if (count === 0) break
      hash.update(piece.subarray(0, count))
      done += count
    }
    return hash.digest()
  }
}
