import type { Upload } from './upload.ts'

/**
 * What runs ahead of the rate stands before the narrow place, and receipts come as much later. Where they come as if
 * nothing had stood there, several in a row, or one for an upload that left for long, the link is faster than it is taken for.
 */
export class PromptReceipts {
  #inARow = 0

  /** True where that is found. `standing` is what stood there when the receipt left, `slackBytes` what should have. */
  note(standing: number, slackBytes: number, { leftMs, beganMs }: Upload): boolean {
    // So much stands where the link stood still, which says nothing of its rate.
    if (standing > 2 * slackBytes) return false
    const weight = leftMs - beganMs < longMs ? 1 : believed
    this.#inARow = standing < slackBytes / 2 ? this.#inARow + weight : 0
    const isFaster = this.#inARow >= believed
    if (isFaster) this.#inARow = 0
    return isFaster
  }
}

const believed = 3
/** A timer that is late now and then makes no difference to it. */
const longMs = 1000
