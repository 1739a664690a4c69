import { stillHolds } from '../queue/evidence.ts'
import type { Evidence } from '../queue/resume-point.ts'
import type { OpenFile } from '../world.ts'
import { isReadError } from './read-error.ts'

/** How often a look at what proves a file to be the one that was read must fail before it is believed that it cannot be had. */
const believedFailures = 3

/** What a file says of itself. A page that the disk cannot read says nothing, once that was tried often enough. */
export class Witness {
  #failures = 0

  /** It failed, and was not believed yet. */
  get isInDoubt(): boolean {
    return this.#failures > 0
  }

  /** 'silent': none of it can be read. Throws what the disk says until that is believed. */
  async says(file: OpenFile, evidence: readonly Evidence[]): Promise<'holds' | 'differs' | 'silent'> {
    const before = this.#failures
    let heard = 0
    // Of a small file the head is the end, too.
    for (const range of new Set(evidence)) {
      const holds = await this.ask(() => stillHolds(file, [range]))
      if (holds === false) return 'differs'
      if (holds) heard++
    }
    if (heard > 0 && this.#failures === before) this.#failures = 0
    return heard > 0 || evidence.length === 0 ? 'holds' : 'silent'
  }

  /** What the look found; undefined where it cannot be had. Throws what the disk says until that is believed. */
  async ask(look: () => Promise<boolean>): Promise<boolean | undefined> {
    try {
      return await look()
    } catch (cause) {
      if (!isReadError(cause) || ++this.#failures < believedFailures) throw cause
      return undefined
    }
  }
}
