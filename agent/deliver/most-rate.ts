interface Round {
  /** Bytes a millisecond. */
  most: number
  readonly sinceMs: number
}

/** The most that was seen of late: what was less was held back by something else than the link, or by a moment of it. */
export class MostRate {
  /** Newest last. They do not overlap, so that one pause of the link is in one of them. */
  readonly #rounds: Round[] = []
  #notedMs: number | undefined
  /** Kept, because it is asked for a hundred times between two notes. */
  #value: number | undefined

  /** undefined before the first sample. */
  get value(): number | undefined {
    return this.#value
  }

  /** True where what was known is not believed any more. */
  note(rate: number, isNewRound: boolean, nowMs: number): boolean {
    const round = this.#rounds.at(-1)
    if (round && !isNewRound) round.most = Math.max(round.most, rate)
    else this.#rounds.push({ most: rate, sinceMs: this.#notedMs ?? nowMs })
    this.#notedMs = nowMs
    if (this.#rounds.length > rememberedRounds) this.#rounds.shift()
    const isLost = this.#forgetWhatWasLost(nowMs)
    this.#value = this.#most
    return isLost
  }

  get #most(): number {
    return Math.max(...this.#rounds.map(({ most }) => most))
  }

  #forgetWhatWasLost(nowMs: number): boolean {
    const least = this.#most / believedDrop
    const latest = this.#rounds.slice(this.#rounds.findLastIndex(({ most }) => most > least) + 1)
    const sinceMs = latest[0]?.sinceMs ?? nowMs
    if (latest.length < believedRounds || nowMs - sinceMs < believedMs) return false
    // The first of them may have begun before.
    this.#rounds.splice(0, this.#rounds.length - 1)
    return true
  }
}

const rememberedRounds = 10
/** A link that has lost most of its rate, and not for a moment, is believed at once. */
const believedDrop = 4
/** One that stands still again and again looks like that, too, for a while: what it loses by that costs more. */
const believedRounds = 2
const believedMs = 15_000
