/**
 * What runs ahead of the rate stands before the narrow place, and receipts come as much later. Where several in a row come as
 * if nothing had stood there, the link is faster than it is taken for.
 */
export class PromptReceipts {
  #inARow = 0

  /** True where that is found. `standing` is what stood there when the receipt left, `slackBytes` what should have. */
  note(standing: number, slackBytes: number): boolean {
    // So much stands where the link stood still, which says nothing of its rate.
    if (standing > 2 * slackBytes) return false
    this.#inARow = standing < slackBytes / 2 ? this.#inARow + 1 : 0
    const isFaster = this.#inARow >= believed
    if (isFaster) this.#inARow = 0
    return isFaster
  }
}

const believed = 3
