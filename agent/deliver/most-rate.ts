/** The most that was seen of late: what was less was held back by something else than the link, or by a moment of it. */
export class MostRate {
  /** Newest last, bytes a millisecond. */
  readonly #samples: number[] = []

  /** undefined before the first sample. */
  get value(): number | undefined {
    return this.#samples.length === 0 ? undefined : Math.max(...this.#samples)
  }

  note(rate: number): void {
    this.#samples.push(rate)
    if (this.#samples.length > rememberedSamples) this.#samples.shift()
    const latest = this.#samples.slice(-believedSamples)
    if (latest.length === believedSamples && Math.max(...latest) * believedDrop <= (this.value ?? 0))
      this.#samples.splice(0, this.#samples.length - believedSamples)
  }
}

const rememberedSamples = 10
/** A link that has lost most of its rate, and not for a moment, is believed at once. One that stands still has lost less. */
const believedSamples = 2
const believedDrop = 4
